#pragma once

#include <gmock/gmock.h>

#include <cstdlib>
#include <filesystem>

#include "jobs/submit/site.hpp"
#include "jobs/submit/submission.hpp"
#include "tests/io/temporary_folder.hpp"
#include "tests/support/message_of.hpp"
#include "tests/support/plugin_dir.hpp"

namespace caravan::jobs {

using caravan::testing::message_of;

/// A small job that is to be submitted, and what a submission would write.
class Submit : public ::testing::Test {
 protected:
  Submit() {
    ::setenv("CARAVAN_PLUGIN_PATH", test::plugin_dir().c_str(), 1);
    test::spill(folder_.file("job.yaml"), R"(name: mini
model: {vocab_size: 64, dim: 32, layers: 2, heads: 2}
data: {source: synthetic, vocab_size: 64}
train: {steps: 6}
)");
    request_.job = folder_.file("job.yaml");
    request_.overrides = {"output=" + folder_.file("run")};
  }
  Site site(const std::string& yaml, const std::vector<std::string>& changes = {}) const {
    test::spill(folder_.file("site.yaml"), yaml);
    return load_site(folder_.file("site.yaml"), changes);
  }
  std::string file_of(const Submission& submission, const std::string& name) const {
    for (const auto& [each, text] : submission.files)
      if (each == name) return text;
    ADD_FAILURE() << "no file " << name;
    return "";
  }
  test::TemporaryFolder folder_;
  SubmitRequest request_;
};

}  // namespace caravan::jobs
