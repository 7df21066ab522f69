#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "caravan/data.hpp"
#include "caravan/error.hpp"
#include "caravan/registry.hpp"
#include "io/data/components.hpp"
#include "io/data/shard_writer.hpp"
#include "io/safetensors/reader.hpp"
#include "io/safetensors/writer.hpp"
#include "io/text/bpe_trainer.hpp"
#include "io/text/load_tokenizer.hpp"
#include "io/text/tokenizer_files.hpp"
#include "io/text/tokenizer_json_writer.hpp"
#include "tests/io/temporary_folder.hpp"
#include "tests/support/plugin_dir.hpp"
#include "tests/text/reference.hpp"

namespace caravan {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

struct Read {
  std::vector<std::int32_t> tokens, labels, documents;
  bool operator==(const Read&) const = default;
};

Read read(DataSource& source, std::int64_t index) {
  const auto length = static_cast<std::size_t>(source.sequence_length());
  Read out{std::vector<std::int32_t>(length), std::vector<std::int32_t>(length),
           std::vector<std::int32_t>(source.has_documents() ? length : 0)};
  source.read(index, {out.tokens, out.labels, out.documents});
  return out;
}

/// What a job does: the linked-in sources and the plugins, a source by name, its keys as YAML.
class Sources : public testing::Test {
 protected:
  Sources() : registry_({test::plugin_dir()}) {
    for (const caravan_component& component : io::data_components()) registry_.add(component);
    const std::string tokenizer = io::write_tokenizer_json(io::BpeTrainer().learn(256, [](std::int32_t) {}));
    test::spill(folder_.file("tokenizer.json"), tokenizer);
  }
  Made<DataSource> make(const std::string& name, const std::string& yaml) {
    return registry_.create<DataSource>(name, Host{}, Config::parse(yaml));
  }
  std::string refusal(const std::string& name, const std::string& yaml) {
    return test::message_of<Error>([&] { make(name, yaml); });
  }
  std::string text_yaml(const std::string& more) {
    return "{path: [" + folder_.file("a.txt") + "], tokenizer: " + folder_.file("tokenizer.json") + ", " +
           more + "}";
  }

  test::TemporaryFolder folder_;
  Registry registry_;
};

TEST_F(Sources, TextIsTokenisedWithBordersAndDocuments) {
  test::spill(folder_.file("a.txt"), "ab\ncd\n");
  const auto source =
      make("text", text_yaml("sequence_length: 7, separator: line, bos: true, eos: true, shuffle: false, "
                             "document_mask: true, ignore_border_labels: true"));
  const Read sample = read(*source, 0);

  EXPECT_EQ(source->samples(), 1);
  EXPECT_EQ(source->vocab_size(), 258);
  EXPECT_THAT(sample.tokens, ElementsAre(256, 'a', 'b', 257, 256, 'c', 'd'));
  EXPECT_THAT(sample.labels, ElementsAre('a', 'b', 257, -100, 'c', 'd', 257));
  EXPECT_THAT(sample.documents, ElementsAre(0, 0, 0, 0, 1, 1, 1));
}

TEST_F(Sources, TextOfAnyBytesCanBeTrainedOnWhenAsked) {
  test::spill(folder_.file("a.txt"), "\xFF\xFE\x80");
  EXPECT_THAT(refusal("text", text_yaml("sequence_length: 2")), HasSubstr("a.txt: byte 0 is 0xFF"));
  const auto source = make("text", text_yaml("sequence_length: 2, binary: true"));
  EXPECT_THAT(read(*source, 0).tokens, ElementsAre(0xFF, 0xFE));
}

TEST_F(Sources, TextThatIsMissingIsNamed) {
  EXPECT_THAT(refusal("text", text_yaml("sequence_length: 2")),
              HasSubstr("a.txt (No such file or directory)"));
}

TEST_F(Sources, TextIsTakenFromFoldersButNotFromStandardInput) {
  std::filesystem::create_directory(folder_.file("texts"));
  test::spill(folder_.file("texts/b"), "cd");
  test::spill(folder_.file("texts/a"), "ab");
  const std::string rest = "], tokenizer: " + folder_.file("tokenizer.json") + ", sequence_length: 3}";
  EXPECT_THAT(read(*make("text", "{path: [" + folder_.file("texts") + rest), 0).tokens,
              ElementsAre('a', 'b', 'c'));
  EXPECT_THAT(refusal("text", "{path: ['-'" + rest), HasSubstr("data.path names standard input"));
}

TEST_F(Sources, UnknownKeysAreRefusedWithTheNearest) {
  EXPECT_THAT(refusal("text", text_yaml("sequence_length: 2, seperator: line")), HasSubstr("separator"));
}

TEST_F(Sources, TokensEqualTheTextTheyWereMadeFrom) {
  test::spill(folder_.file("a.txt"), std::string(1000, 'x') + "the end");
  io::ShardWriter writer(folder_.file("d"),
                         {258, "own", io::tokenizer_sha256(folder_.file("tokenizer.json"))}, 1 << 20);
  const std::string text = test::slurp(folder_.file("a.txt"));
  writer.add_document(std::vector<std::int32_t>(text.begin(), text.end()));
  writer.finish();
  const std::string keys = "sequence_length: 16, seed: 3, split: validation, validation_fraction: 0.5";
  const auto shards =
      make("tokens", "{path: " + folder_.file("d") + ", tokenizer: " + folder_.file("tokenizer.json") + ", " +
                         keys + "}");
  const auto memory = make("text", text_yaml(keys));

  ASSERT_EQ(shards->samples(), memory->samples());
  for (std::int64_t i = 0; i < 2 * shards->samples(); ++i) ASSERT_EQ(read(*shards, i), read(*memory, i)) << i;
}

TEST_F(Sources, TokensOfAnotherTokenizerAreRefused) {
  io::ShardWriter writer(folder_.file("d"), {258, "own", std::string(64, 'b')}, 1 << 20);
  writer.add_document(std::vector<std::int32_t>(100, 1));
  writer.finish();
  const std::string keys = "{path: " + folder_.file("d") + ", sequence_length: 4";

  EXPECT_EQ(refusal("tokens", keys + "}"), "");
  EXPECT_THAT(refusal("tokens", keys + ", tokenizer: " + folder_.file("tokenizer.json") + "}"),
              HasSubstr("were made with bbbb"));
}

TEST_F(Sources, SafetensorsRowsComeInTheOrderOfTheFile) {
  CARAVAN_NEED_REFERENCE(path, "titan_tiny/batches.safetensors");
  const auto source = make("safetensors", "{path: " + path + ", sequence_length: 32}");
  const io::SafetensorsFile file(path);
  const auto tokens = file.read_as_i64("tokens"), labels = file.read_as_i64("labels");
  ASSERT_EQ(source->samples(), 10 * 2 * 2);

  for (std::int64_t row = 0; row < source->samples(); ++row) {
    const Read sample = read(*source, row);
    for (std::size_t t = 0; t < 32; ++t) {
      ASSERT_EQ(sample.tokens[t], tokens[static_cast<std::size_t>(row) * 33 + t]);
      ASSERT_EQ(sample.labels[t], labels[static_cast<std::size_t>(row) * 32 + t]);
    }
  }
  EXPECT_THAT(test::message_of<IoError>([&] { read(*source, 40); }), HasSubstr("sample 40 of 40"));
  const auto endless = make("safetensors", "{path: " + path + ", sequence_length: 32, wrap: true}");
  EXPECT_EQ(read(*endless, 40), read(*source, 0));
}

TEST_F(Sources, SafetensorsOfAnotherLengthAreRefused) {
  CARAVAN_NEED_REFERENCE(path, "titan_tiny/batches.safetensors");
  EXPECT_THAT(refusal("safetensors", "{path: " + path + ", sequence_length: 16}"),
              HasSubstr("rows of 33 tokens with labels (sequence_length=16 needs 17)"));
}

TEST_F(Sources, SyntheticDependsOnSeedAndSampleAlone) {
  const std::string keys = "{vocab_size: 50, sequence_length: 64, ";
  const auto one = make("synthetic", keys + "seed: 1}"), same = make("synthetic", keys + "seed: 1}"),
             other = make("synthetic", keys + "seed: 2}"),
             held_out = make("synthetic", keys + "seed: 1, split: validation}");
  const Read sample = read(*one, 12345);

  EXPECT_EQ(one->samples(), 0) << "endless";
  EXPECT_EQ(sample, read(*same, 12345));
  EXPECT_NE(sample, read(*one, 12346));
  EXPECT_NE(sample, read(*other, 12345));
  EXPECT_NE(sample, read(*held_out, 12345));
  for (std::size_t t = 0; t + 1 < 64; ++t) ASSERT_EQ(sample.tokens[t + 1], sample.labels[t]);
}

TEST_F(Sources, SyntheticTokensAreUniform) {
  const auto source =
      make("synthetic", "{vocab_size: 10, sequence_length: 1000, samples: 3, document_length: 400}");
  std::vector<int> counts(10);
  for (std::int64_t i = 0; i < 3; ++i)
    for (std::int32_t id : read(*source, i).tokens) ++counts.at(static_cast<std::size_t>(id));

  for (int count : counts) EXPECT_NEAR(count, 300, 80);
  EXPECT_EQ(read(*source, 4), read(*source, 1));
  EXPECT_EQ(read(*source, 0).documents[999], 2);
}

TEST_F(Sources, IdentityIsOfTheTokensAndNotOfTheirPathSeedSplitOrLength) {
  const auto identity = [&](const std::string& text, const std::string& keys) {
    test::spill(folder_.file("a.txt"), text);
    return make("text", text_yaml(keys))->identity();
  };
  const DataIdentity one = identity("abcdefgh", "sequence_length: 2, seed: 1"),
                     same = identity("abcdefgh", "sequence_length: 3, seed: 2, split: all"),
                     other = identity("abcdefgi", "sequence_length: 2, seed: 1"),
                     borders = identity("abcd\nefgh", "sequence_length: 2, separator: line");
  EXPECT_THAT(one.digest, ::testing::MatchesRegex("xxh3:[0-9a-f]{16}"));
  EXPECT_EQ(one.digest, same.digest);
  EXPECT_NE(one.digest, other.digest);
  EXPECT_NE(one.digest, borders.digest) << "the same tokens in two documents";
  EXPECT_EQ(one.tokens, 8);
  EXPECT_EQ(one.tokenizer, folder_.file("tokenizer.json"));
  EXPECT_EQ(one.tokenizer_digest, "sha256:" + io::tokenizer_sha256(folder_.file("tokenizer.json")));
}

TEST_F(Sources, SyntheticIdentityIsWhatIsDrawn) {
  const auto digest = [&](const std::string& keys) {
    return make("synthetic", "{sequence_length: 4, " + keys + "}")->identity().digest;
  };
  EXPECT_EQ(digest("vocab_size: 50, seed: 1"), digest("vocab_size: 50, seed: 2, split: validation"));
  EXPECT_NE(digest("vocab_size: 50"), digest("vocab_size: 51"));
}

TEST_F(Sources, SafetensorsIdentityIsOfTokensAndLabels) {
  const auto digest = [&](std::vector<std::int32_t> tokens, std::vector<std::int32_t> labels) {
    const std::string path = folder_.file("rows.safetensors");
    io::SafetensorsWriter writer(path);
    writer.add("tokens", TensorView(tokens.data(), DType::i32, {2, 2}));
    writer.add("labels", TensorView(labels.data(), DType::i32, {2, 2}));
    writer.commit();
    return make("safetensors", "{path: " + path + ", sequence_length: 2}")->identity().digest;
  };
  EXPECT_EQ(digest({1, 2, 3, 4}, {2, 3, 4, 5}), digest({1, 2, 3, 4}, {2, 3, 4, 5}));
  EXPECT_NE(digest({1, 2, 3, 4}, {2, 3, 4, 5}), digest({1, 2, 3, 4}, {2, 3, 4, 6}));
  EXPECT_NE(digest({1, 2, 3, 4}, {2, 3, 4, 5}), digest({1, 2, 3, 5}, {2, 3, 4, 5}));
}

}  // namespace
}  // namespace caravan
