#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "caravan/data.hpp"
#include "caravan/error.hpp"
#include "caravan/registry.hpp"
#include "io/data/components.hpp"
#include "io/data/mix_order.hpp"
#include "io/data/shard_writer.hpp"
#include "io/safetensors/writer.hpp"
#include "io/text/bpe_trainer.hpp"
#include "io/text/tokenizer_files.hpp"
#include "io/text/tokenizer_json_writer.hpp"
#include "tests/io/temporary_folder.hpp"
#include "tests/support/message_of.hpp"
#include "tests/support/plugin_dir.hpp"

// Samples of several sources by weight, as a job opens them.
namespace caravan {
namespace {

using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

struct Read {
  std::vector<std::int32_t> tokens, labels, documents;
  bool operator==(const Read&) const = default;
};

Read read(DataSource& source, std::int64_t index) {
  const auto length = static_cast<std::size_t>(source.sequence_length());
  Read out{std::vector<std::int32_t>(length), std::vector<std::int32_t>(length),
           std::vector<std::int32_t>(source.has_documents() ? length : 0, -1)};
  source.read(index, {out.tokens, out.labels, out.documents});
  return out;
}

class Mix : public ::testing::Test {
 protected:
  Mix() : registry_({test::plugin_dir()}) {
    for (const caravan_component& component : io::data_components()) registry_.add(component);
    test::spill(file("tokenizer.json"),
                io::write_tokenizer_json(io::BpeTrainer().learn(256, [](std::int32_t) {})));
    test::spill(file("a.txt"), std::string(400, 'a'));
    test::spill(file("b.jsonl"), "{\"body\": \"" + std::string(100, 'b') + "\"}\n{\"body\": \"" +
                                     std::string(100, 'c') + "\"}\n");
    shards("shards", io::tokenizer_sha256(file("tokenizer.json")));
    std::vector<std::int32_t> rows(50, 'r');
    io::SafetensorsWriter writer(file("rows.safetensors"));
    writer.add("tokens", TensorView(rows.data(), DType::i32, {10, 5}));
    writer.commit();
  }
  std::string file(const std::string& name) const { return folder_.file(name); }
  void shards(const std::string& name, const std::string& tokenizer) const {
    io::ShardWriter writer(file(name), {258, "own", tokenizer}, 1 << 20);
    writer.add_document(std::vector<std::int32_t>(200, 's'));
    writer.finish();
  }
  std::string text(const std::string& more) const {
    return "source: text, path: [" + file("a.txt") + "], tokenizer: " + file("tokenizer.json") + more;
  }
  std::string lines(const std::string& more) const {
    return "source: text, path: [" + file("b.jsonl") +
           "], field: body, tokenizer: " + file("tokenizer.json") + more;
  }
  Made<DataSource> make(const std::string& name, const std::string& yaml) {
    return registry_.create<DataSource>(name, Host::of(registry_), Config::parse(yaml));
  }
  Made<DataSource> mix(const std::vector<std::string>& parts, const std::string& more = "") {
    std::string yaml = "{sequence_length: 4, seed: 3, parts: [";
    for (const std::string& part : parts) yaml += "{" + part + "}, ";
    return make("mix", yaml + "]" + more + "}");
  }
  std::string refusal(const std::vector<std::string>& parts, const std::string& more = "") {
    return testing::whole_message_of<Error>([&] { mix(parts, more); });
  }

  test::TemporaryFolder folder_;
  Registry registry_;
};

TEST_F(Mix, SampleKOfAPartIsTheSourcesOwn) {
  const auto all = mix({text(", weight: 5"), lines(", weight: 2"), "weight: 2, path: " + file("shards"),
                        "weight: 1, source: safetensors, wrap: true, path: " + file("rows.safetensors")});
  const std::string keys = ", sequence_length: 4, seed: 3}";
  std::vector<Made<DataSource>> alone;
  alone.push_back(make("text", "{" + text(keys).substr(14)));
  alone.push_back(make("text", "{" + lines(keys).substr(14)));
  alone.push_back(make("tokens", "{path: " + file("shards") + keys));
  alone.push_back(make("safetensors", "{wrap: true, path: " + file("rows.safetensors") + keys));
  const io::MixOrder order(std::vector<double>{5, 2, 2, 1}, 3);
  std::vector<std::int64_t> counts(4);
  for (std::int64_t sample = 0; sample < 1000; ++sample) {
    const auto place = order.at(sample);
    ASSERT_EQ(read(*all, sample), read(*alone[place.part], place.index)) << sample;
    ++counts[place.part];
  }
  EXPECT_EQ(counts, (std::vector<std::int64_t>{500, 200, 200, 100}));
  EXPECT_EQ(all->vocab_size(), 258);
}

TEST_F(Mix, SaysWhatItTakesOfEachPartAndWhenTheFirstBeginsAgain) {
  const auto all = mix({text(", weight: 3"), "weight: 1, path: " + file("shards")});
  const auto uses = all->uses(160);
  ASSERT_EQ(uses.size(), 2u);
  EXPECT_EQ(uses[0].taken, 120);
  EXPECT_EQ(uses[0].pass, 80);
  EXPECT_EQ(uses[0].share, 0.75);
  EXPECT_EQ(uses[0].name, file("a.txt"));
  EXPECT_EQ(uses[1].taken, 40);
  EXPECT_EQ(uses[1].pass, 40);
  EXPECT_EQ(uses[1].name, file("shards"));
  const auto at_end = all->uses(all->samples()), beyond = all->uses(all->samples() + 1);
  EXPECT_EQ(at_end[0].taken, 80);
  EXPECT_EQ(beyond[0].taken, 81);
  EXPECT_TRUE(all->repeats());
}

TEST_F(Mix, OfAPartThatDoesNotRepeatIsNotRepeated) {
  const auto all =
      mix({text(", weight: 1"), "weight: 1, source: safetensors, path: " + file("rows.safetensors")});
  EXPECT_FALSE(all->repeats());
  EXPECT_TRUE(all->uses(1)[0].repeats);
  EXPECT_FALSE(all->uses(1)[1].repeats);
}

TEST_F(Mix, OfDataWithoutEndHasNone) {
  const std::string endless = "source: synthetic, vocab_size: 9, weight: 1";
  EXPECT_EQ(mix({endless, endless})->samples(), 0);
  EXPECT_GT(mix({endless, text(", weight: 1")})->samples(), 0);
}

TEST_F(Mix, OneDocumentIsASequenceOfAPartWithoutThem) {
  EXPECT_THAT(read(*mix({text(", weight: 1")}), 0).documents, IsEmpty());
  const auto all = mix({text(", weight: 1"), lines(", weight: 1, document_mask: true")});
  ASSERT_TRUE(all->has_documents());
  for (std::int64_t sample = 0; sample < 80; ++sample) {
    const Read found = read(*all, sample);
    EXPECT_GE(*std::ranges::min_element(found.documents), 0);
    if (found.tokens[0] == 'a') {
      EXPECT_THAT(found.documents, Each(0));
    }
  }
}

TEST_F(Mix, ValidatesTheTailsOfItsPartsOnce) {
  const std::vector<std::string> parts{text(", weight: 3, validation_fraction: 0.5"),
                                       lines(", weight: 1, validation_fraction: 0.5"),
                                       "weight: 9, path: " + file("shards"),
                                       "weight: 9, source: safetensors, path: " + file("rows.safetensors")};
  const auto held_out = mix(parts, ", split: validation");
  const auto uses = held_out->uses(held_out->samples());
  ASSERT_EQ(uses.size(), 2u) << "the others hold out nothing";
  EXPECT_EQ(uses[0].share, 0.75);
  EXPECT_EQ(uses[0].pass, 40);
  EXPECT_EQ(uses[1].pass, 20);
  EXPECT_EQ(uses[0].taken, 40);
  EXPECT_LE(uses[1].taken, 20);
  EXPECT_THAT(refusal({parts[2], parts[3]}, ", split: validation"),
              HasSubstr("no part of the mix holds out anything for validation"));
}

TEST_F(Mix, IdentityIsOfThePartsAndTheirSharesAlone) {
  const auto identity = [&](const std::vector<std::string>& parts, const std::string& more = "") {
    return mix(parts, more)->identity();
  };
  const std::string shards = "weight: 1, path: " + file("shards");
  const DataIdentity one = identity({text(", weight: 3"), shards});
  EXPECT_THAT(one.digest, ::testing::MatchesRegex("xxh3:[0-9a-f]{16}"));
  EXPECT_EQ(one.tokens, 600);
  EXPECT_EQ(one.tokenizer, file("tokenizer.json"));
  EXPECT_EQ(one.tokenizer_digest, "sha256:" + io::tokenizer_sha256(file("tokenizer.json")));
  EXPECT_EQ(one.digest, identity({text(", weight: 3, shuffle: false, seed: 4"), shards}).digest);
  EXPECT_EQ(one.digest, identity({text(", weight: 0.3"), "weight: 0.1, path: " + file("shards")}).digest);
  EXPECT_NE(one.digest, identity({text(", weight: 2"), shards}).digest);
  EXPECT_NE(one.digest, identity({shards, text(", weight: 3")}).digest);
  EXPECT_NE(one.digest, identity({lines(", weight: 3"), shards}).digest);
}

TEST_F(Mix, OfTwoVocabulariesIsRefused) {
  shards("others", std::string(64, 'b'));
  const std::string message = refusal({text(", weight: 1"), "weight: 1, path: " + file("others")});
  EXPECT_THAT(message, HasSubstr(file("a.txt") + " was made with the tokenizer sha256:"));
  EXPECT_THAT(message, HasSubstr(file("others") + " with sha256:bbbb"));
}

TEST_F(Mix, RefusesKeysByTheirPart) {
  const std::string shards = "path: " + file("shards");
  const auto expect = [&](const std::vector<std::string>& parts, const std::string& message) {
    EXPECT_THAT(refusal(parts), HasSubstr(message));
  };
  expect({}, "a mix of 0 parts");
  expect({shards}, "key 'weight' in parts[0] is missing");
  expect({shards + ", weight: 1", shards + ", weight: 0"}, "parts[1].weight=0 (must be > 0)");
  expect({shards + ", weight: heavy"}, "parts[0].weight");
  expect({shards + ", weight: 1, split: all"}, "parts[0].split (all parts of a mix have one split)");
  expect({shards + ", weight: 1, sequence_length: 8"}, "parts[0].sequence_length (all parts");
  expect({shards + ", weight: 1, shufle: true"}, "Did you mean 'shuffle'?");
  expect({shards + ", weight: 1, shufle: true"}, "in part " + file("shards") + " of the mix");
  expect({"path: " + file("nowhere") + ", weight: 1"}, "in part " + file("nowhere") + " of the mix");
  expect({"source: mix, weight: 1, parts: []"}, "parts[0] is a mix (a mix has no mixes)");
  expect({"source: tokns, weight: 1"}, "tokens");
  EXPECT_THAT(testing::message_of<Error>([&] { make("mix", "{sequence_length: 4, parts: [7]}"); }),
              HasSubstr("parts[0] is not a map"));
  EXPECT_THAT(testing::message_of<Error>([&] { make("mix", "{sequence_length: 4, parts: 7}"); }),
              HasSubstr("parts is not a list (must be a list of maps"));
  EXPECT_THAT(testing::message_of<Error>([&] { make("mix", "{sequence_length: 4, parts: null}"); }),
              HasSubstr("parts is not a list"));
}

}  // namespace
}  // namespace caravan
