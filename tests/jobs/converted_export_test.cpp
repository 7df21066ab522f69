#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>

#include "io/checkpoint/layout.hpp"
#include "tests/jobs/job_test.hpp"

// `checkpoint.export` in the formats that others read.
namespace caravan::test {
namespace {

using ::testing::HasSubstr;
namespace fs = std::filesystem;

std::string bytes_of(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// Of a file itself, or of all files of a folder.
std::map<std::string, std::string> contents(const fs::path& path) {
  std::map<std::string, std::string> all;
  if (fs::is_regular_file(path)) all["itself"] = bytes_of(path);
  if (!fs::is_directory(path)) return all;
  for (const auto& entry : fs::directory_iterator(path))
    all[entry.path().filename()] = bytes_of(entry.path());
  return all;
}

class ConvertedExport : public JobTest {
 protected:
  /// Of kMiniJob's last step.
  std::string exported(const std::string& run, const std::string& format) const {
    return file(run) + "/export/" + format + "/" + io::step_folder(6) +
           (format == "safetensors" ? ".safetensors" : "");
  }
};

TEST_F(ConvertedExport, IsWhatConvertMakesOfTheLastCheckpoint) {
  const std::string job_file = job(kMiniJob);
  for (const std::string format : {"hf", "meta", "safetensors"}) {
    const Outcome trained = run(train(job_file, format, format == "hf" ? 2 : 0,
                                      {"checkpoint.export={format: " + format + ", dtype: fp16}"}));
    ASSERT_TRUE(ended_with(trained, 0)) << trained.err;
    const std::string other = file("other-" + format) + (format == "safetensors" ? ".safetensors" : "");
    const Outcome converted = caravan({"convert", file(format) + "/checkpoints/" + io::step_folder(6), other,
                                       "--to", format, "--dtype", "fp16"});
    ASSERT_TRUE(ended_with(converted, 0)) << converted.err;
    EXPECT_FALSE(contents(other).empty());
    EXPECT_EQ(contents(exported(format, format)), contents(other)) << format;
  }
}

TEST_F(ConvertedExport, IsMadeUpForWhereARunHasItsLastStepAlone) {
  const std::string job_file = job(kMiniJob);
  ASSERT_TRUE(ended_with(run(train(job_file, "run", 0, {})), 0));
  const std::vector<std::string> wanted{"checkpoint.export={format: hf, dtype: bf16}"};
  const Outcome again = run(train(job_file, "run", 0, wanted));
  ASSERT_TRUE(ended_with(again, 0)) << again.err;
  EXPECT_THAT(again.err, HasSubstr("only the export is left"));
  const auto first = contents(exported("run", "hf"));
  EXPECT_TRUE(first.contains("config.json"));
  const Outcome third = run(train(job_file, "run", 0, wanted));
  ASSERT_TRUE(ended_with(third, 0)) << third.err;
  EXPECT_THAT(third.err, HasSubstr("nothing to do"));
  EXPECT_EQ(contents(exported("run", "hf")), first);
}

TEST_F(ConvertedExport, OfAnotherRunOrTypeIsNotTakenForThisRuns) {
  const std::string job_file = job(kMiniJob);
  const std::vector<std::string> wanted{"checkpoint.export={format: hf, dtype: bf16}"};
  ASSERT_TRUE(ended_with(run(train(job_file, "run", 0, wanted)), 0));
  const auto exported_before = contents(exported("run", "hf"));
  const auto expect_refusal = [&](const std::vector<std::string>& overrides) {
    const Outcome outcome = run(train(job_file, "run", 0, overrides));
    EXPECT_TRUE(ended_with(outcome, 2)) << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr("exists and is not what checkpoint.export"));
    EXPECT_EQ(contents(exported("run", "hf")), exported_before);
  };
  expect_refusal({"checkpoint.export={format: hf, dtype: fp32}"});
  fs::remove_all(file("run") + "/checkpoints");
  expect_refusal({wanted[0], "seed=6"});
  EXPECT_FALSE(fs::exists(file("run") + "/checkpoints/" + io::step_folder(2))) << "no step was taken";
  expect_refusal({wanted[0], "seed=6"});
}

TEST_F(ConvertedExport, IsRefusedBeforeTheFirstStepWhereItCannotBeMade) {
  const std::string job_file = job(kMiniJob);
  for (const auto& [overrides, message] :
       {std::pair(std::vector<std::string>{"checkpoint.export={format: hf, dtype: bf16}",
                                           "checkpoint.enabled=false"},
                  "it is made of the last checkpoint"),
        {{"checkpoint.export={format: hf, dtype: bf16}", "model.attention_dropout=0.1", "model.noisy=true"},
         "noisy"},
        {{"checkpoint.export={format: meta, dtype: bf16}", "model.noisy=true"}, "noisy"},
        {{"checkpoint.export={dtype: bf16}"}, "has no format"},
        {{"checkpoint.export={format: hf}"}, "has no dtype"},
        {{"checkpoint.export={format: onnx, dtype: bf16}"}, "onnx"},
        {{"checkpoint.export=hf"}, "a format without the type of its weights"},
        {{"checkpoint.export=fp16"}, "fp16"}}) {
    const Outcome outcome = run(train(job_file, "refused", 0, overrides));
    EXPECT_EQ(outcome.code, 2) << message;
    EXPECT_THAT(outcome.err, HasSubstr(message));
    EXPECT_FALSE(fs::exists(file("refused") + "/checkpoints")) << message;
  }
}

}  // namespace
}  // namespace caravan::test
