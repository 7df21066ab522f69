#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <numeric>

#include "caravan/error.hpp"
#include "io/checkpoint/reader.hpp"
#include "io/checkpoint/sharded.hpp"
#include "io/checkpoint/snapshot.hpp"
#include "io/checkpoint/verify.hpp"
#include "tests/io/temporary_folder.hpp"

// Checkpoints whose files changed after they were written, or whose writers did not agree.
namespace caravan::test {
namespace {

namespace fs = std::filesystem;
using io::Piece;
using io::TensorRecord;
using ::testing::HasSubstr;

TEST(ShardedDamage, IsFoundInTheBlockThatIsReadAndNowhereElse) {
  TemporaryFolder folder;
  constexpr std::int64_t kRows = 40 << 10, kColumns = 256;  // 40 MiB: three blocks
  const TensorRecord tensor{"/model/x", DType::f32, {kRows, kColumns}};
  const io::Snapshot snapshot({Piece::whole(tensor)});
  std::iota(snapshot.elements(0).as<float>(), snapshot.elements(0).as<float>() + kRows * kColumns, 0.f);
  const io::CheckpointHead head{.step = 1};
  io::StagingFolder staging(folder.path(), "step-00000001");
  const auto share = io::write_share(staging.path(), 0, 1, head, snapshot.pieces(),
                                     [&](std::size_t piece) { return snapshot.elements(piece); });
  ASSERT_EQ(share.pieces[0].blocks.size(), 3u);
  const std::string path = io::publish(staging, head, {share}, nullptr);
  {
    std::fstream file(path + "/checkpoint.h5", std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(share.pieces[0].offset + (20u << 20)));
    file.put('\x7f');
  }
  const auto reader = io::CheckpointReader::open(path, io::Check::structure);
  std::vector<float> rows(16 * kColumns);
  const TensorView view(rows.data(), DType::f32, {16, kColumns});
  reader.read_block("/model/x", {0, 0}, view);
  EXPECT_EQ(rows[17], 17.f);
  reader.read_block("/model/x", {kRows - 16, 0}, view);
  EXPECT_THAT(message_of<IoError>([&] {
                reader.read_block("/model/x", {kRows / 2, 0}, view);
              }),
              HasSubstr(fmt::format(
                  "is damaged in /model/x, bytes {} to {} (bytes {} to {} of the dataset have "
                  "another digest than the manifest says)",
                  share.pieces[0].offset + io::kBlockBytes, share.pieces[0].offset + 2 * io::kBlockBytes,
                  io::kBlockBytes, 2 * io::kBlockBytes)));
  const auto damages =
      io::find_damage(path, io::read_manifest(path), io::Check::everything, io::Through::disk);
  ASSERT_EQ(damages.size(), 1u);
  EXPECT_EQ(damages[0].tensor, "/model/x");
  EXPECT_EQ(damages[0].begin, share.pieces[0].offset + io::kBlockBytes);
}

TEST(ShardedDamage, MissingAndDoubledRowsAreRefused) {
  TemporaryFolder folder;
  const TensorRecord tensor{"/model/x", DType::f32, {4, 2}};
  std::vector<float> values(8);
  const auto complaint = [&](std::int64_t first, std::int64_t second, std::int64_t rows) {
    io::StagingFolder staging(folder.path(), "step-00000001");
    std::vector<io::FileRecord> shares;
    for (std::int64_t row : {first, second}) {
      shares.push_back(io::write_share(staging.path(), static_cast<int>(shares.size()), 2, {.step = 1},
                                       {Piece::rows(tensor, row, rows)}, [&](std::size_t) {
                                         return TensorView(values.data(), DType::f32, {rows, 2});
                                       }));
    }
    return message_of<IoError>([&] { io::publish(staging, {.step = 1}, shares, nullptr); });
  };
  EXPECT_THAT(complaint(0, 3, 1), HasSubstr("[1:3, 0:2] of /model/x is in no file"));
  EXPECT_THAT(complaint(0, 1, 2), HasSubstr(" of /model/x is stored twice"));
  EXPECT_THAT(complaint(1, 3, 1), HasSubstr("[0:1, 0:2] of /model/x is in no file"));
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

}  // namespace
}  // namespace caravan::test
