#include <gtest/gtest.h>

#include "caravan/config.hpp"
#include "tests/support/message_of.hpp"

namespace caravan {
namespace {

using testing::message_of;

TEST(ConfigOverride, ReplacesAndCreatesNestedKeys) {
  Config job = Config::parse("train:\n  lr: 1\n  steps: 5\n", "job.yaml");

  job.override_with("train.lr=3e-4");
  job.override_with("data.path=/a=b");
  job.override_with("train.betas=[0.9, 0.95]");
  job.override_with("train.note=");

  EXPECT_EQ(job,
            Config::parse("{train: {lr: 3e-4, steps: 5, betas: [0.9, 0.95], note: }, data: {path: /a=b}}"));
  EXPECT_EQ(job.at("train").at("lr").where(), "command line");
  EXPECT_EQ(job.at("train").at("steps").where(), "job.yaml:3");
  EXPECT_EQ(job.at("data").at("path").path(), "data.path");
}

TEST(ConfigOverride, MistakesSayWhatWouldBeRight) {
  Config job = Config::parse("train: {lr: 1}", "job.yaml");
  const auto refusal = [&](const char* text) {
    return message_of<ConfigError>([&] { job.override_with(text); });
  };

  EXPECT_EQ(refusal("train.lr"), "command line: 'train.lr' has no '='. Write key.key=value?");
  EXPECT_EQ(refusal("=3"),
            "command line: '=3' has an empty key or more than 64 levels. Write key.key=value?");
  EXPECT_EQ(refusal("train..lr=3"),
            "command line: 'train..lr=3' has an empty key or more than 64 levels. Write key.key=value?");
  EXPECT_EQ(refusal("train.lr.x=3"),
            "command line: cannot set 'x' inside train.lr (it is not a map, see job.yaml:1). Set train.lr as "
            "a whole?");
  EXPECT_NE(refusal("train.lr=[1"), "");
  EXPECT_EQ(job, Config::parse("train: {lr: 1}"));
}

}  // namespace
}  // namespace caravan
