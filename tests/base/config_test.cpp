#include "caravan/config.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/message_of.hpp"

namespace caravan {
namespace {

using ::testing::ElementsAre;
using testing::message_of;

const char* const kJob = R"(
train:
  steps: 100
  lr: 3e-4
  resume: false
  name: debug
  betas: [0.9, 0.95]
  nope: [1, 2]
empty:
)";

Config job() {
  return Config::parse(kJob, "job.yaml");
}

TEST(Config, ReadsTypedValues) {
  const Config train = job().at("train");

  EXPECT_EQ(train.get_int("steps"), 100);
  EXPECT_EQ(train.get_float("lr"), 3e-4);
  EXPECT_EQ(train.get_float("steps"), 100.0);
  EXPECT_FALSE(train.get_bool("resume"));
  EXPECT_EQ(train.get_string("name"), "debug");
  EXPECT_THAT(train.at("betas").as_float_list(), ElementsAre(0.9, 0.95));
  EXPECT_THAT(train.at("nope").as_int_list(), ElementsAre(1, 2));
  EXPECT_THAT(train.at("nope").as_string_list(), ElementsAre("1", "2"));
}

TEST(Config, KnowsPlaceAndPathOfEveryNode) {
  const Config root = job();

  EXPECT_EQ(root.at("train").where(), "job.yaml:2");
  EXPECT_EQ(root.at("train").at("lr").where(), "job.yaml:4");
  EXPECT_EQ(root.at("train").at("betas").items()[1].path(), "train.betas[1]");
  EXPECT_TRUE(root.at("empty").is_null());
}

TEST(Config, ValuesThatYamlWouldReinterpretAreRefusedByNumbersAndBooleans) {
  for (const char* text :
       {"010", "0x10", "1_000", "+5", "1e3", "1.0", "'12'", "12:30", "9223372036854775808", "0o7"}) {
    EXPECT_NE(message_of<ConfigError>([&] { Config::parse(text).as_int(); }), "") << text;
  }
  for (const char* text : {"yes", "on", "True", "TRUE", "1", "\"true\"", "y"}) {
    EXPECT_NE(message_of<ConfigError>([&] { Config::parse(text).as_bool(); }), "") << text;
  }
  for (const char* text :
       {"010", ".inf", ".nan", "inf", "nan", "1e999", "0x1p3", "1e", "-", "'0.5'", "1.5.2"}) {
    EXPECT_NE(message_of<ConfigError>([&] { Config::parse(text).as_float(); }), "") << text;
  }
}

TEST(Config, TextIsNeverReinterpreted) {
  const Config node = Config::parse("{a: yes, b: 010, c: 1f1b, d: '~', e: 2024-01-01}");

  EXPECT_EQ(node.get_string("a"), "yes");
  EXPECT_EQ(node.get_string("b"), "010");
  EXPECT_EQ(node.get_string("c"), "1f1b");
  EXPECT_EQ(node.get_string("d"), "~");
  EXPECT_EQ(node.get_string("e"), "2024-01-01");
}

TEST(Config, TypeErrorsSayPlacePathValueAndRemedy) {
  const Config root = job();

  EXPECT_EQ(
      message_of<ConfigError>([&] { root.at("train").get_int("lr"); }),
      "job.yaml:4: train.lr='3e-4' (must be an integer such as 12: plain decimal digits, within 64 bits)");
  EXPECT_EQ(message_of<ConfigError>([&] { root.at("train").get_bool("name"); }),
            "job.yaml:6: train.name='debug' (must be true or false)");
  EXPECT_EQ(message_of<ConfigError>([&] { root.get_float("train"); }),
            "job.yaml:2: train is a map (must be a number such as 0.5 or 3e-4)");
  EXPECT_EQ(message_of<ConfigError>([&] { Config::parse("a: \"5\"", "j").get_int("a"); }),
            "j:1: a='5' (must be an integer such as 12: plain decimal digits, within 64 bits, and text in "
            "quotes is a "
            "string)");
}

TEST(Config, AMissingKeyNamesTheNearest) {
  EXPECT_EQ(message_of<ConfigError>([&] { job().at("train").at("step"); }),
            "job.yaml:2: train lacks the key 'step'. Did you mean 'steps'?");
  EXPECT_EQ(message_of<ConfigError>([&] { job().at("data"); }), "job.yaml:2: top level lacks the key 'data'");
}

TEST(Config, ControlCharactersAreEscapedInMessages) {
  EXPECT_THAT(message_of<ConfigError>([] { Config::parse("a: \"\\e[31m\"", "j").get_int("a"); }),
              ::testing::HasSubstr("a='\\u001b[31m'"));
}

TEST(Config, MergeReplacesListsAndScalarsAndDescendsIntoMaps) {
  Config base = Config::parse("{train: {lr: 1, steps: 2}, ids: [1, 2]}", "preset.yaml");

  base.merge(Config::parse("{train: {lr: 3}, ids: [4], data: x}", "job.yaml"));

  EXPECT_EQ(base, Config::parse("{train: {lr: 3, steps: 2}, ids: [4], data: x}"));
  EXPECT_EQ(base.at("train").at("lr").where(), "job.yaml:1");
  EXPECT_EQ(base.at("train").at("steps").where(), "preset.yaml:1");
}

TEST(Config, SettingAChildGivesItPathAndPlace) {
  Config root = Config::parse("train: {lr: 1}", "job.yaml");
  Config section = Config::map();
  section.set("name", "adamw");

  root.set("optimizer", section);

  EXPECT_EQ(root.at("optimizer").at("name").path(), "optimizer.name");
  EXPECT_EQ(root.at("optimizer").where(), "job.yaml:1");
  EXPECT_EQ(message_of<ConfigError>([&] { Config::scalar("x").set("a", "b"); }),
            "built in: top level is a single value (must be a map to hold the key 'a')");
}

TEST(Config, QuotesMatterForEqualityOnlyWhereTheyChangeTheType) {
  EXPECT_EQ(Config::parse("a"), Config::parse("'a'"));
  EXPECT_FALSE(Config::parse("12") == Config::parse("'12'"));
  EXPECT_FALSE(Config::parse("true") == Config::parse("'true'"));
}

}  // namespace
}  // namespace caravan
