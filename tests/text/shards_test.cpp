#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <hdf5.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <csignal>
#include <filesystem>
#include <numeric>

#include "io/data/unigram_entropy.hpp"
#include "io/files/sandbox.hpp"
#include "tests/text/shard_folder.hpp"

namespace caravan::io {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
TEST(Shards, GiveBackWhatWasWritten) {
  for (std::int64_t vocab_size : {100, 65536, 65537, 200000}) {
    const test::TemporaryFolder folder;
    const auto last = static_cast<std::int32_t>(vocab_size - 1);
    write(folder.file("d"), {{1, 2, last}, {}, {3}}, vocab_size);
    const TokenShards shards(folder.file("d"));

    EXPECT_THAT(all_of(shards), ElementsAre(1, 2, last, 3));
    EXPECT_THAT(shards.document_starts(), ElementsAre(0, 3));
    EXPECT_EQ(shards.vocab_size(), vocab_size);
    EXPECT_EQ(shards.facts().tokenizer_sha256, std::string(64, 'a'));
  }
}

TEST(Shards, HoldWholeDocumentsAndCutOnlyWhatIsLonger) {
  const test::TemporaryFolder folder;
  Ids longer(25);
  std::iota(longer.begin(), longer.end(), 50);
  write(folder.file("d"), {{1, 2, 3, 4, 5, 6}, {7, 8, 9, 10, 11}, longer, {12}}, 100, 10);

  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.file("d")), {}), 5 + 1);
  const TokenShards shards(folder.file("d"));
  EXPECT_EQ(shards.size(), 37);
  EXPECT_THAT(shards.document_starts(), ElementsAre(0, 6, 11, 36));
  EXPECT_EQ(all_of(shards)[36], 12);
  Ids across(8);
  shards.read(4, across);
  EXPECT_THAT(across, ElementsAre(5, 6, 7, 8, 9, 10, 11, 50));
}

TEST(Shards, NeverReplaceOthers) {
  const test::TemporaryFolder folder;
  write(folder.file("d"), {{1}});
  EXPECT_THAT(test::message_of<IoError>([&] { write(folder.file("d"), {{2}}); }),
              HasSubstr("d holds token shards already"));
  EXPECT_THAT(all_of(TokenShards(folder.file("d"))), ElementsAre(1));
}

TEST(Shards, MoveIntoAFolderThatExists) {
  const test::TemporaryFolder folder;
  test::spill(folder.file("tokenizer.json"), "{}");
  ShardWriter writer(folder.path(), facts(100), 10);
  writer.add_document(Ids(25, 1));
  writer.add_file("tokenizer.json", "{}");
  writer.finish();

  EXPECT_EQ(TokenShards(folder.path()).size(), 25);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 3 + 2);
  EXPECT_FALSE(std::filesystem::exists(folder.path() + ".tmp"));
}

TEST(Shards, LeaveAFolderAsItWasWhenItHoldsAnotherTokenizer) {
  const test::TemporaryFolder folder;
  test::spill(folder.file("tokenizer.json"), "{}");
  const auto message = test::message_of<IoError>([&] {
    ShardWriter writer(folder.path(), facts(100), 10);
    writer.add_document(Ids(25, 1));
    writer.add_file("tokenizer.json", "{ }");
    writer.finish();
  });

  EXPECT_THAT(message, HasSubstr("tokenizer.json exists and is another file"));
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 1);
}

TEST(Shards, NeedAFolderNotAFile) {
  const test::TemporaryFolder folder;
  test::spill(folder.file("d"), "");
  EXPECT_THAT(test::message_of<IoError>([&] { write(folder.file("d"), {{1}}); }), HasSubstr("d is a file"));
}

TEST(Shards, LeaveNothingBehindWhenNotFinished) {
  const test::TemporaryFolder folder;
  { ShardWriter(folder.file("d"), facts(100), 10).add_document(Ids(25, 1)); }
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
  EXPECT_THAT(test::message_of<IoError>([&] { write(folder.file("d"), {}); }),
              HasSubstr("no tokens in the input"));
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(Shards, LeaveNothingBehindOnAFullDisk) {
  const test::TemporaryFolder folder;
  rlimit before{};
  ::getrlimit(RLIMIT_FSIZE, &before);
  ::signal(SIGXFSZ, SIG_IGN);
  const rlimit limit{64 * 1024, before.rlim_max};  // as a disk with so much room
  ::setrlimit(RLIMIT_FSIZE, &limit);
  const auto message =
      test::message_of<IoError>([&] { write(folder.file("d"), {Ids(100'000, 7)}, 100, 1 << 20); });
  ::setrlimit(RLIMIT_FSIZE, &before);

  EXPECT_THAT(message, HasSubstr("File too large"));
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(Shards, NeedAFolderThatCanBeMade) {
  EXPECT_THAT(test::message_of<IoError>([] { write("/nowhere/d", {{1}}); }),
              HasSubstr("(No such file or directory). May you write there, and does its parent exist?"));
}

TEST(Shards, RefuseIdsOutsideTheVocabulary) {
  const test::TemporaryFolder folder;
  EXPECT_THAT(test::message_of<IoError>([&] { write(folder.file("d"), {{100}}, 100); }),
              HasSubstr("token id 100"));
  EXPECT_THAT(test::message_of<IoError>([&] { write(folder.file("d"), {{-1}}, 100); }),
              HasSubstr("token id -1"));
}

TEST(Shards, AreTheSameDataHoweverTheyAreCut) {
  const test::TemporaryFolder folder;
  const std::vector<Ids> documents{Ids(25, 1), {2, 3}, {4}};
  write(folder.file("one"), documents);
  write(folder.file("many"), documents, 100, 10);
  write(folder.file("other"), {Ids(25, 1), {2}, {3, 4}});
  const auto identity = [&](const char* name) { return TokenShards(folder.file(name)).identity(); };

  EXPECT_THAT(identity("one").digest, ::testing::MatchesRegex("xxh3:[0-9a-f]{16}"));
  EXPECT_EQ(identity("one").digest, identity("many").digest);
  EXPECT_NE(identity("one").digest, identity("other").digest) << "the same tokens, other documents";
  EXPECT_EQ(identity("many").tokens, 28);
  Ids tokens(25, 1);
  tokens.insert(tokens.end(), {2, 3, 4});
  EXPECT_EQ(identity("one").digest, MemoryTokens(tokens, {0, 25, 27}, 100).identity().digest);
}

TEST(Shards, RemoveWhatAKilledPreparationLeftAndNothingElse) {
  const test::TemporaryFolder folder;
  const PendingFolder living(folder.path(), "d"), of_another(folder.path(), "e");
  const pid_t child = ::fork();
  if (child == 0) {
    ShardWriter writer(folder.file("d"), facts(100), 10);
    writer.add_document(Ids(25, 1));
    ::kill(::getpid(), SIGKILL);
  }
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  ASSERT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 3);

  write(folder.file("d"), {{1}});
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 3);
  EXPECT_TRUE(std::filesystem::exists(living.path()));
  EXPECT_TRUE(std::filesystem::exists(of_another.path()));
  EXPECT_THAT(all_of(TokenShards(folder.file("d"))), ElementsAre(1));
}

/// A folder with one sound shard that nobody vouches for, and the means to damage it.
class ForeignShard : public testing::Test {
 protected:
  void SetUp() override {
    if (!has_sandbox()) GTEST_SKIP() << "built without libseccomp";
    write(folder_.file("d"), {{1, 2, 3}, {4, 5}});
    std::filesystem::remove(folder_.file("d/tokens-manifest.json"));
  }

  void write_values(const char* dataset, hid_t type, const void* values) {
    const hid_t file = H5Fopen(path_.c_str(), H5F_ACC_RDWR, H5P_DEFAULT);
    const hid_t id = H5Dopen2(file, dataset, H5P_DEFAULT);
    H5Dwrite(id, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values);
    H5Dclose(id);
    H5Fclose(file);
  }
  void write_number(const char* attribute, std::int64_t value) {
    const hid_t file = H5Fopen(path_.c_str(), H5F_ACC_RDWR, H5P_DEFAULT);
    const hid_t id = H5Aopen(file, attribute, H5P_DEFAULT);
    H5Awrite(id, H5T_NATIVE_INT64, &value);
    H5Aclose(id);
    H5Fclose(file);
  }
  std::string refusal() const { return complaint(folder_.file("d")); }

  test::TemporaryFolder folder_;
  std::string path_ = folder_.file("d/tokens-00000-of-00001.h5");
};

TEST_F(ForeignShard, IsReadWithAWarning) {
  testing::internal::CaptureStderr();
  const TokenShards shards(folder_.file("d"));
  EXPECT_THAT(testing::internal::GetCapturedStderr(), HasSubstr("d has no tokens-manifest.json"));
  EXPECT_THAT(all_of(shards), ElementsAre(1, 2, 3, 4, 5));
  EXPECT_THAT(shards.document_starts(), ElementsAre(0, 3));
  EXPECT_EQ(shards.vocab_size(), 100);
  EXPECT_EQ(shards.identity().digest, "") << "nobody vouches for the tokens";
}

TEST_F(ForeignShard, TruncatedIsRefused) {
  std::filesystem::resize_file(path_, std::filesystem::file_size(path_) / 2);
  EXPECT_THAT(refusal(), HasSubstr("tokens-00000-of-00001.h5"));
}

TEST_F(ForeignShard, NoiseIsRefused) {
  test::spill(path_, "this is not HDF5");
  EXPECT_THAT(refusal(), HasSubstr("cannot open"));
}

TEST_F(ForeignShard, StartsThatDoNotAscendAreRefused) {
  const std::int64_t starts[] = {3, 3};
  write_values("document_starts", H5T_NATIVE_INT64, starts);
  EXPECT_THAT(refusal(), HasSubstr("document start 3 after 3"));
}

TEST_F(ForeignShard, StartsOutsideAreRefused) {
  const std::int64_t starts[] = {0, 5};
  write_values("document_starts", H5T_NATIVE_INT64, starts);
  EXPECT_THAT(refusal(), HasSubstr("document start 5 after 0 (starts ascend and lie below the 5 tokens)"));
  const std::int64_t negative[] = {-2, 3};
  write_values("document_starts", H5T_NATIVE_INT64, negative);
  EXPECT_THAT(refusal(), HasSubstr("document start -2"));
}

TEST_F(ForeignShard, IdsOutsideTheVocabularyAreRefusedWhenRead) {
  const std::int32_t ids[] = {1, 2, 100, 4, 5};
  write_values("tokens", H5T_NATIVE_INT32, ids);
  EXPECT_THAT(refusal(), HasSubstr("token id 100 (vocab_size is 100)"));
}

TEST_F(ForeignShard, OtherVersionsAndSizesAreRefused) {
  write_number("vocab_size", 0);
  EXPECT_THAT(refusal(), HasSubstr("vocab_size 0"));
  write_number("version", 2);
  EXPECT_THAT(refusal(), HasSubstr("version 2 (this program reads 1)"));
}

TEST_F(ForeignShard, ThatIsMissingFromASetIsNamed) {
  std::filesystem::rename(path_, folder_.file("d/tokens-00000-of-00002.h5"));
  EXPECT_THAT(refusal(), HasSubstr("tokens-00001-of-00002.h5 (No such file or directory)"));
}

TEST_F(ForeignShard, OfTwoSetsIsRefused) {
  test::spill(folder_.file("d/tokens-00001-of-00002.h5"), "");
  EXPECT_THAT(refusal(), HasSubstr("(a folder is one set)"));
}

TEST_F(ForeignShard, FolderWithoutShardsIsRefused) {
  std::filesystem::rename(path_, folder_.file("d/other.h5"));
  EXPECT_THAT(refusal(), HasSubstr("holds no token shards (files like tokens-00000-of-00001.h5)"));
}

TEST(UnigramEntropy, IsThatOfTheFrequencies) {
  const MemoryTokens stream({0, 1, 0, 1, 2, 2, 2, 2}, {0}, 3);

  EXPECT_NEAR(unigram_entropy(stream, 0, 4), std::log(2.0), 1e-12);
  EXPECT_NEAR(unigram_entropy(stream, 0, 8), 1.5 * std::log(2.0), 1e-12);
  EXPECT_EQ(unigram_entropy(stream, 4, 8), 0);
  EXPECT_EQ(unigram_entropy(stream, 8, 8), 0);
}

}  // namespace
}  // namespace caravan::io
