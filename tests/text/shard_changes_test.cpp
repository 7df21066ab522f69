#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <random>

#include "caravan/error.hpp"
#include "io/data/shard_writer.hpp"
#include "io/data/token_shards.hpp"
#include "io/files/sandbox.hpp"
#include "tests/io/temporary_folder.hpp"

// Bytes of token shards change, as often as CARAVAN_SHARD_CHANGES says: a shard is read or refused. A signal
// would end this test, a hang its time.
namespace caravan::io {
namespace {

struct Change {
  std::size_t at;
  unsigned char value;
};

/// What ended the reader or made it hang when HDF5 saw it in the training process.
constexpr Change kKnown[] = {{4124, 0x01}, {4167, 0xff}, {4162, 0x7f}, {4209, 0x7f}};

int changes() {
  const char* wanted = std::getenv("CARAVAN_SHARD_CHANGES");
  return wanted ? std::atoi(wanted) : 100;
}

class ChangedShards : public testing::Test {
 protected:
  void SetUp() override {
    ShardWriter writer(folder_.file("d"), {2048, "tokenizer.json, 2048 tokens", std::string(64, 'a')},
                       1 << 20);
    for (int document = 0; document < 300; ++document)
      writer.add_document(std::vector<std::int32_t>(static_cast<std::size_t>(document % 50 + 1), document));
    writer.finish();
    sound_ = test::slurp(path_);
    tokens_ = read();
  }

  std::vector<std::int32_t> read() const {
    const TokenShards shards(folder_.file("d"));
    std::vector<std::int32_t> tokens(static_cast<std::size_t>(shards.size()));
    shards.read(0, tokens);
    return tokens;
  }
  /// Whether the changed shard is read; it is refused otherwise.
  bool is_read(const Change& change) const {
    std::string changed = sound_;
    changed[change.at] = static_cast<char>(change.value);
    test::spill(path_, changed);
    try {
      read();
      return true;
    } catch (const IoError& error) {
      EXPECT_THAT(error.what(), testing::HasSubstr("tokens-00000-of-00001.h5"));
      return false;
    }
  }
  /// A byte of HDF5's records most of the time: damage there is what its reader does not survive.
  Change draw(std::mt19937& random) const {
    const std::size_t tokens_bytes = tokens_.size() * 2;
    Change change{random() % (sound_.size() - tokens_bytes), static_cast<unsigned char>(random())};
    if (random() % 8 == 0) change.at = random() % sound_.size();
    if (static_cast<unsigned char>(sound_[change.at]) == change.value) change.value ^= 1;
    return change;
  }

  test::TemporaryFolder folder_;
  std::string path_ = folder_.file("d/tokens-00000-of-00001.h5"), sound_;
  std::vector<std::int32_t> tokens_;
};

TEST_F(ChangedShards, WithAManifestAreRefused) {
  for (const Change& change : kKnown) EXPECT_FALSE(is_read(change)) << change.at;
  std::mt19937 random(7);
  for (int round = 0; round < changes(); ++round) {
    const Change change = draw(random);
    EXPECT_FALSE(is_read(change)) << fmt::format("{}:={:02x}", change.at, change.value);
  }
  test::spill(path_, sound_);
  EXPECT_EQ(read(), tokens_);
}

TEST_F(ChangedShards, WithoutAManifestAreReadOrRefused) {
  if (!has_sandbox()) GTEST_SKIP() << "built without libseccomp";
  std::filesystem::remove(folder_.file("d/tokens-manifest.json"));
  int refused = 0;
  for (const Change& change : kKnown) refused += !is_read(change);
  std::mt19937 random(11);
  for (int round = 0; round < changes(); ++round) refused += !is_read(draw(random));
  EXPECT_GT(refused, changes() / 20) << "most changes hit what HDF5 needs";
  test::spill(path_, sound_);
  EXPECT_EQ(read(), tokens_);
}

}  // namespace
}  // namespace caravan::io
