#include <chrono>

#include "caravan/error.hpp"
#include "io/files/pending_folder.hpp"
#include "jobs/convert/source_files.hpp"
#include "tests/jobs/convert_test.hpp"
#include "tests/support/message_of.hpp"

// What convert does not take: nothing is written then.
namespace caravan::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class Refusals : public ConvertTest {
 protected:
  void SetUp() override {
    ConvertTest::SetUp();
    original_ = reference_file("tiny_scout");
    if (original_.empty()) GTEST_SKIP() << "no tiny_scout in CARAVAN_REFERENCE_DIR";
    take(original_);
  }
  /// Changes the tensors of the model's folder.
  void change(const std::function<void(StoredTensors&)>& what) const {
    auto tensors = tensors_of(file("model"));
    what(tensors);
    write_tensors(file("model/model.safetensors"), tensors);
  }
  void expect_refused(const Outcome& outcome, int code, const ::testing::Matcher<std::string>& said) const {
    EXPECT_TRUE(ended_with(outcome, code));
    EXPECT_THAT(outcome.last_line(), said);
    EXPECT_FALSE(std::filesystem::exists(file("out")));
    EXPECT_THAT(left_over(), IsEmpty());
  }
  Outcome to_hf() const { return convert(file("model"), file("out"), {"--to", "hf"}); }
  std::string original_;
};

TEST_F(Refusals, LayersOfAJobsOwnAreBeyondTheFormatsOfOthers) {
  const std::string yaml =
      "device: host\nmodel: {vocab_size: 32, dim: 16, layers: 2, heads: 2, experts: 0, dense: {layer: "
      "gelu_feed_forward, hidden: 24}}\ndata: {source: synthetic, vocab_size: 32}\n"
      "train: {steps: 1, sequence_length: 8, warmup_steps: 1}\n";
  ASSERT_TRUE(ended_with(run(train(job(yaml), "run", 0)), 0));
  for (const char* format : {"hf", "meta"}) {
    const Outcome outcome = caravan({"convert", file("run"), file(format), "--to", format});
    EXPECT_TRUE(ended_with(outcome, 3)) << format;
    EXPECT_THAT(outcome.last_line(), HasSubstr("dense={…} (only swiglu)")) << format;
  }
  EXPECT_TRUE(ended_with(caravan({"convert", file("run"), file("h5"), "--to", "hdf5"}), 0));
}

TEST_F(Refusals, MissingKeysAreNamed) {
  change([](StoredTensors& tensors) { tensors.erase("model.layers.3.self_attn.k_proj.weight"); });
  expect_refused(to_hf(), 3, HasSubstr("missing: model.layers.3.self_attn.k_proj.weight"));
}

TEST_F(Refusals, UnknownKeysAreNamed) {
  change([](StoredTensors& tensors) { tensors["model.layers.3.extra"] = tensors["model.norm.weight"]; });
  expect_refused(to_hf(), 3, HasSubstr("not in the model: model.layers.3.extra"));
}

TEST_F(Refusals, WrongShapesAreNamed) {
  change([](StoredTensors& tensors) { tensors["model.norm.weight"].extents = {8, 8}; });
  expect_refused(to_hf(), 3, HasSubstr("wrong shape: model.norm.weight is [8, 8] instead of [64]"));
}

TEST_F(Refusals, WeightsOfWholeNumbersAreNamed) {
  change([](StoredTensors& tensors) { tensors["model.norm.weight"].type = "I32"; });
  expect_refused(to_hf(), 3, HasSubstr("no floating-point numbers: model.norm.weight of i32"));
  expect_refused(convert(file("model"), file("out"), {"--to", "hdf5", "--dtype", "bf16"}), 3,
                 HasSubstr("of i32"));
}

TEST_F(Refusals, WeightsOfATypeThatIsNotReadAreNamedWithTheirFile) {
  const auto bytes = slurp(original_ + "/model.safetensors");
  std::string header = bytes.substr(8);
  const std::size_t at = header.find("\"F32\"", header.find("\"model.norm.weight\""));
  ASSERT_NE(at, std::string::npos);
  header.replace(at, 5, "\"U32\"");
  spill(file("model/model.safetensors"), bytes.substr(0, 8) + header);
  expect_refused(to_hf(), 3,
                 AllOf(HasSubstr(file("model/model.safetensors")),
                       HasSubstr("tensor 'model.norm.weight' has dtype U32 (F64, F32, BF16")));
}

TEST_F(Refusals, ATruncatedShardIsNamed) {
  ASSERT_TRUE(ended_with(convert(file("model"), file("shards"), {"--to", "hf", "--shard-size", "1MB"}), 0));
  const std::string shard = file("shards/model-00002-of-00004.safetensors");
  std::filesystem::resize_file(shard, std::filesystem::file_size(shard) - 1);
  expect_refused(convert(file("shards"), file("out"), {"--to", "hdf5"}), 3,
                 HasSubstr("model-00002-of-00004.safetensors"));
}

TEST_F(Refusals, AFolderOfTwoModelsIsNotGuessedAt) {
  ASSERT_TRUE(ended_with(convert(file("model"), file("checkpoint"), {"--to", "hdf5"}), 0));
  for (const char* name : {"checkpoint.h5", "manifest.json"})
    std::filesystem::copy(file(std::string("checkpoint/") + name), file("model"));
  expect_refused(to_hf(), 3, HasSubstr("holds two models (manifest.json and model.safetensors are there)"));
}

TEST_F(Refusals, NothingIsReplaced) {
  std::filesystem::create_directory(file("there"));
  expect_refused(convert(file("model"), file("there"), {"--to", "hf"}), 2, HasSubstr("exists"));
  std::filesystem::create_symlink("nowhere", file("link"));
  expect_refused(convert(file("model"), file("link"), {"--to", "hf"}), 2, HasSubstr("exists"));
  EXPECT_TRUE(std::filesystem::is_empty(file("there")));
}

TEST_F(Refusals, WhatCannotGoAlongIsNotLostSilently) {
  const std::string beside = file("model/special_tokens_map.json");
  std::filesystem::create_symlink("nowhere", beside);
  expect_refused(to_hf(), 3, HasSubstr("special_tokens_map.json cannot go along (No such file"));
  std::filesystem::remove(beside);
  std::filesystem::create_directory(beside);
  expect_refused(to_hf(), 3, HasSubstr("cannot go along (a link to nothing, or not a file)"));
}

TEST_F(Refusals, PathsThatLeadNowhereAreNamed) {
  std::filesystem::create_symlink("loop", file("loop"));
  expect_refused(convert(file("loop"), file("out"), {"--to", "hf"}), 3,
                 HasSubstr("loop/manifest.json: Too many levels of symbolic links"));
  expect_refused(convert(file("model"), "", {"--to", "hf"}), 2, HasSubstr("DST is empty"));
}

TEST_F(Refusals, ASourceThatIsWrittenToMeanwhileIsNamed) {
  const std::string shard = file("model/model.safetensors");
  const jobs::SourceFiles files(file("model"));
  files.check_unchanged();
  std::filesystem::last_write_time(shard, std::filesystem::last_write_time(shard) + std::chrono::seconds(1));
  EXPECT_THAT(caravan::testing::message_of<IoError>([&] { files.check_unchanged(); }),
              HasSubstr("model.safetensors was written to or removed while it was converted"));
  std::filesystem::remove(shard);
  EXPECT_THAT(caravan::testing::message_of<IoError>([&] { files.check_unchanged(); }), HasSubstr("removed"));
}

TEST_F(Refusals, WhatIsLeftOutIsSaid) {
  change([](StoredTensors& tensors) {
    tensors["model.layers.0.self_attn.rotary_emb.inv_freq"] = tensors["model.norm.weight"];
  });
  const Outcome outcome = to_hf();
  EXPECT_TRUE(ended_with(outcome, 0));
  EXPECT_THAT(outcome.err, HasSubstr("holds model.layers.0.self_attn.rotary_emb.inv_freq too: left out"));
}

TEST_F(Refusals, WhatAnEarlierConversionLeftIsRemoved) {
  const std::string left = file(io::temporary_name("out")), another = file(io::temporary_name("other"));
  for (const std::string& folder : {left, another}) std::filesystem::create_directory(folder);

  const Outcome outcome = to_hf();

  EXPECT_TRUE(ended_with(outcome, 0));
  EXPECT_THAT(outcome.err, HasSubstr("removed " + left));
  EXPECT_FALSE(std::filesystem::exists(left));
  EXPECT_TRUE(std::filesystem::exists(another));
}

TEST_F(Refusals, ADamagedCheckpointIsFoundWhereItIsRead) {
  ASSERT_TRUE(ended_with(convert(file("model"), file("checkpoint"), {"--to", "hdf5"}), 0));
  const std::string path = file("checkpoint/checkpoint.h5");
  std::string bytes = slurp(path);
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
  spill(path, bytes);
  expect_refused(
      convert(file("checkpoint"), file("out"), {"--to", "hf"}), 3,
      ::testing::ContainsRegex("damaged in /model/[^ ]*, bytes [0-9]+ to [0-9]+ .bytes [0-9]+ to [0-9]+ of "
                               "the dataset"));
}

TEST_F(Refusals, WhatTheFormatHasNoKeyForIsNamed) {
  ASSERT_TRUE(ended_with(convert(file("model"), file("w.safetensors"), {"--to", "safetensors"}), 0));
  const std::string config =
      job("{vocab_size: 512, dim: 64, layers: 8, heads: 4, kv_heads: 2, experts: 4, expert_width: 96, "
          "score: softmax, score_on: output}");
  expect_refused(convert(file("w.safetensors"), file("out"), {"--to", "hf", "--config", config}), 3,
                 AllOf(HasSubstr("model.score=softmax"), HasSubstr("model.score_on=output")));
}

TEST_F(Refusals, ValuesThatAreTooLargeForATypeAreNamed) {
  change([](StoredTensors& tensors) {
    const float large = 1e6f;
    std::memcpy(tensors["model.norm.weight"].bytes.data(), &large, sizeof large);
  });
  expect_refused(convert(file("model"), file("out"), {"--to", "hf", "--dtype", "fp16"}), 3,
                 AllOf(HasSubstr("model.norm.weight"), HasSubstr("does not fit fp16")));
  // Of the last rank too, whose first takes away what they began.
  const Outcome two = convert(file("model"), file("out"), {"--to", "hf", "--dtype", "fp16"}, 2);
  EXPECT_TRUE(ended_with(two, 3));
  EXPECT_THAT(two.err, HasSubstr("does not fit fp16"));
  EXPECT_THAT(left_over(), IsEmpty());
}

TEST_F(Refusals, ADryRunChecksAndWritesNothing) {
  const Outcome outcome = convert(file("model"), file("out"), {"--to", "hf", "--dry-run"});
  expect_refused(outcome, 0, HasSubstr(""));
  EXPECT_THAT(outcome.out,
              AllOf(HasSubstr("would write"), HasSubstr("99 tensors"), HasSubstr("model.safetensors: 3,6"),
                    HasSubstr("config.json"), HasSubstr("The space is there. Not checked")));
}

TEST_F(Refusals, SizesAreSizes) {
  for (const char* size : {"0", "5 parsecs", "-1GB", "99999999999999999999", "10000000TB"})
    expect_refused(convert(file("model"), file("out"), {"--to", "hf", "--shard-size", size}), 2,
                   HasSubstr("must be a size such as 5GB"));
  for (const char* to : {"hdf5", "meta"})
    expect_refused(
        convert(file("model"), file("out"), {"--to", to, "--shard-size", "5GB"}), 2,
        HasSubstr(std::string("--shard-size=5GB with --to ") + to + " (only Hugging Face's files"));
}

}  // namespace
}  // namespace caravan::test
