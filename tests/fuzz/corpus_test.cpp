// The kept corpora and mutations of them, through the functions that libFuzzer calls.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <new>
#include <optional>
#include <utility>

#include "tests/fuzz/mutation.hpp"
#include "tests/fuzz/ordeal.hpp"
#include "tests/fuzz/targets.hpp"
#include "tests/io/temporary_folder.hpp"

namespace caravan::fuzz {
namespace {

namespace fs = std::filesystem;

struct Case {
  const Target* target;
  std::size_t mutations;
};

const Case kCases[] = {{&safetensors, 3000},    {&safetensors_index, 1500}, {&hf_config, 3000},
                       {&yaml_job, 2000},       {&schedule_csv, 3000},      {&tiktoken, 1000},
                       {&tokenizer_json, 2000}, {&sentencepiece, 1000},     {&pth, 3000},
                       {&pickle, 5000},         {&meta_params, 2000},       {&manifest, 1500},
                       {&checkpoint, 1000},     {&foreign_hdf5, 60},        {&shard_manifest, 1500},
                       {&texts, 1000},          {&run_metrics, 1000}};

std::vector<std::string> corpus_of(const Target& target) {
  std::vector<std::string> names, files;
  for (const auto& entry : fs::directory_iterator(fs::path(CARAVAN_FUZZ_CORPUS) / target.name))
    names.push_back(entry.path().string());
  std::sort(names.begin(), names.end());
  for (const std::string& name : names) files.push_back(test::slurp(name));
  return files;
}

/// "" when nothing ended the reader; else how to do it again.
std::string verdict(const Target& target, const OrdealResult& result) {
  if (result.ending.empty()) return "";
  const std::string kept =
      (fs::temp_directory_path() / fmt::format("caravan-fuzz-{}-{}", target.name, result.calls)).string();
  test::spill(kept, result.input);
  return fmt::format("{} after {} inputs: {} (the input is {})", target.name, result.calls, result.ending,
                     kept);
}

class Corpus : public testing::TestWithParam<Case> {};

TEST_P(Corpus, NoFileOfItEndsItsReader) {
  const Target& target = *GetParam().target;
  const auto files = corpus_of(target);
  ASSERT_FALSE(files.empty());
  std::size_t next = 0;

  const OrdealResult result = run_ordeal(target, [&]() -> std::optional<std::string> {
    return next < files.size() ? std::optional(files[next++]) : std::nullopt;
  });

  EXPECT_EQ(verdict(target, result), "");
  EXPECT_EQ(result.calls, files.size());
  EXPECT_GT(result.read, 0u) << "every file is refused: the corpus is of an older format";
}

TEST_P(Corpus, NoMutationOfItEndsItsReader) {
  const Target& target = *GetParam().target;
  const auto files = corpus_of(target);
  std::size_t next = 0;

  const OrdealResult result = run_ordeal(target, [&]() -> std::optional<std::string> {
    return next < GetParam().mutations ? std::optional(mutation(files, next++)) : std::nullopt;
  });

  EXPECT_EQ(verdict(target, result), "");
  EXPECT_EQ(result.calls, GetParam().mutations);
}

TEST_P(Corpus, NoRepetitionEndsItsReader) {
  const auto all = repetitions();
  std::size_t next = 0;

  const OrdealResult result = run_ordeal(*GetParam().target, [&]() -> std::optional<std::string> {
    return next < all.size() ? std::optional(all[next++]) : std::nullopt;
  });

  EXPECT_EQ(verdict(*GetParam().target, result), "");
}

INSTANTIATE_TEST_SUITE_P(Readers, Corpus, testing::ValuesIn(kCases),
                         [](const auto& tested) { return std::string(tested.param.target->name); });

const Target kBroken{"broken",
                     [](Input input) {
                       if (text_of(input) == "crash") std::abort();
                       if (text_of(input) == "throw") throw std::bad_alloc();
                       if (text_of(input) == "grow") std::vector<char>(1 << 20).swap(*new std::vector<char>);
                       if (text_of(input) == "hang")
                         for (;;) ::pause();
                     },
                     {1 << 16, 1}};

std::string ending_with(const std::string& text) {
  bool given = false;
  const OrdealResult result = run_ordeal(
      kBroken,
      [&]() -> std::optional<std::string> {
        return std::exchange(given, true) ? std::nullopt : std::optional(text);
      },
      1);
  return result.ending + result.input;
}

TEST(Ordeal, TellsCrashForeignExceptionGrowthAndHangWithTheInput) {
  EXPECT_EQ(ending_with("sound"), "");
  EXPECT_EQ(ending_with("crash"), "it was ended by 'Aborted'crash");
  EXPECT_EQ(ending_with("throw"), "it was ended by 'Aborted'throw");
  EXPECT_EQ(ending_with("grow"), "it was ended by 'Aborted'grow");
  EXPECT_EQ(ending_with("hang"), "it took more than 1 shang");
}

}  // namespace
}  // namespace caravan::fuzz
