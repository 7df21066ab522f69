#include "io/text/bpe_model.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "caravan/error.hpp"
#include "tests/io/temporary_folder.hpp"

namespace caravan::io {
namespace {

std::vector<std::int32_t> encode(const BpeModel& model, std::string_view piece) {
  BpeModel::Scratch scratch;
  std::vector<std::int32_t> ids;
  model.encode(piece, scratch, ids);
  return ids;
}

/// The definition: look at all pairs, merge the lowest (leftmost on ties), again and again.
std::vector<std::int32_t> encode_slowly(const BpeModel::Parts& parts, std::string_view piece) {
  std::vector<std::int32_t> ids;
  for (char c : piece) ids.push_back(c - 'a');
  for (;;) {
    std::size_t best = ids.size();
    BpeModel::Merge lowest{1 << 30, -1};
    for (std::size_t i = 0; i + 1 < ids.size(); ++i) {
      const auto found = parts.merges.find(BpeModel::pair_key(ids[i], ids[i + 1]));
      if (found == parts.merges.end() || found->second.rank >= lowest.rank) continue;
      lowest = found->second;
      best = i;
    }
    if (best == ids.size()) return ids;
    ids[best] = lowest.id;
    ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(best) + 1);
  }
}

/// Tokens a, b, c and `merges` random pairs of what there is so far.
BpeModel::Parts random_parts(std::mt19937_64& random, int merges) {
  BpeModel::Parts parts;
  parts.tokens = {"a", "b", "c"};
  parts.ranking = BpeModel::Ranking::merge;
  parts.whole_piece = BpeModel::WholePiece::merged;
  for (int rank = 0; rank < merges; ++rank) {
    const std::size_t left = random() % parts.tokens.size(), right = random() % parts.tokens.size();
    const std::string joined = parts.tokens[left] + parts.tokens[right];
    if (std::ranges::find(parts.tokens, joined) != parts.tokens.end()) continue;
    const auto id = static_cast<std::int32_t>(parts.tokens.size());
    parts.merges[BpeModel::pair_key(static_cast<std::int32_t>(left), static_cast<std::int32_t>(right))] = {
        rank, id};
    parts.tokens.push_back(joined);
  }
  return parts;
}

TEST(BpeModel, EqualsTheDefinitionOnRandomVocabularies) {
  std::mt19937_64 random(11);
  for (int round = 0; round < 300; ++round) {
    const BpeModel::Parts parts = random_parts(random, 12);
    const BpeModel model(parts);
    std::string piece;
    for (auto i = random() % 40; i > 0; --i) piece.push_back(static_cast<char>('a' + random() % 3));
    ASSERT_EQ(encode(model, piece), encode_slowly(parts, piece)) << piece;
  }
}

TEST(BpeModel, MergesTheLeftmostOfEqualPairs) {
  BpeModel::Parts parts;
  parts.tokens = {"a", "aa"};
  const BpeModel model(parts);

  EXPECT_EQ(encode(model, "aaa"), (std::vector<std::int32_t>{1, 0}));
}

TEST(BpeModel, DropsWhatIsNoToken) {
  BpeModel::Parts parts;
  parts.tokens = {"a", "b", "ab"};
  parts.ranking = BpeModel::Ranking::merge;
  parts.merges[BpeModel::pair_key(0, 1)] = {0, 2};
  const BpeModel model(parts);

  EXPECT_EQ(encode(model, "xaxbx"), (std::vector<std::int32_t>{2})) << "neighbours after the dropping";
  EXPECT_FALSE(model.has_all_bytes());
}

TEST(BpeModel, FusesUnknownUnitsWhenTold) {
  BpeModel::Parts parts;
  parts.tokens = {"a", "<unk>"};
  parts.unknown = 1;
  EXPECT_EQ(encode(BpeModel(parts), "xya"), (std::vector<std::int32_t>{1, 1, 0}));

  parts.fuse_unknown = true;
  EXPECT_EQ(encode(BpeModel(parts), "xya"), (std::vector<std::int32_t>{1, 0}));
}

TEST(BpeModel, SpellsUnknownCharactersInBytesWhenTold) {
  BpeModel::Parts parts;
  parts.tokens = {"a", "<0xC3>", "<0xA9>"};
  parts.unit = BpeModel::Unit::character;
  parts.byte_fallback = true;

  EXPECT_EQ(encode(BpeModel(parts), "aé"), (std::vector<std::int32_t>{0, 1, 2}));
}

TEST(BpeModel, RefusesATokenWithTwoIds) {
  BpeModel::Parts parts;
  parts.tokens = {"a", "b", "a"};

  EXPECT_EQ(test::message_of<IoError>([&] { BpeModel model(parts); }),
            "token 'a' has the ids 0 and 2 (a token has one id). Is the file damaged?");
}

}  // namespace
}  // namespace caravan::io
