#include "io/convert/flat_file.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <mutex>

#include "caravan/error.hpp"
#include "io/convert/block_rooms.hpp"
#include "io/safetensors/reader.hpp"
#include "tests/io/temporary_folder.hpp"

// Files that several threads fill are those that one fills.
namespace caravan::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

/// Element i of every tensor is i.
class Counted final : public io::WeightSource {
 public:
  explicit Counted(std::string broken = "") : broken_(std::move(broken)) {}
  std::string description() const override { return "numbers"; }
  std::vector<std::string> names() const override { return {}; }
  bool has(const std::string&) const override { return true; }
  Shape shape(const std::string&) const override { return kShape; }
  DType dtype(const std::string&) const override { return DType::f32; }
  static inline const Shape kShape{3000, 2048};  // two blocks

 private:
  void read_inside(const std::string& name, const Origin& origin, const TensorView& to, int) const override {
    if (name == broken_) throw IoError("no such luck");
    std::int64_t next = origin[0] * kShape[1];
    std::generate_n(to.as<float>(), to.count(), [&] { return static_cast<float>(next++); });
  }
  std::string broken_;
};

std::vector<io::FlatFile> two_files() {
  const auto copy = [](const char* name) {
    return io::MadeTensor::copy(name, {name, Counted::kShape}, DType::f32);
  };
  return {io::safetensors_file("a.safetensors", {copy("x"), copy("y")}),
          io::safetensors_file("b.safetensors", {copy("z")})};
}

TEST(FlatFiles, AnyThreadsWriteTheSameBytesAndSeeEveryBlockOnce) {
  const auto files = two_files();
  const auto blocks = io::blocks_of(files);
  std::vector<std::string> written;
  for (const int threads : {1, 4}) {
    const TemporaryFolder folder;
    io::create_files(folder.path(), files);
    std::vector<std::uint64_t> seen(blocks.size());
    io::fill_files(folder.path(), files, blocks, Counted(), threads,
                   [&](std::size_t index, std::span<const std::byte> bytes) { seen[index] += bytes.size(); });
    for (std::size_t i = 0; i < blocks.size(); ++i) EXPECT_EQ(seen[i], blocks[i].bytes);
    written.push_back(slurp(folder.file("a.safetensors")) + slurp(folder.file("b.safetensors")));
    const io::SafetensorsFile file(folder.file("b.safetensors"));
    EXPECT_EQ(file.read_as_f32("z")[5'000'001], 5'000'001.f);
  }
  EXPECT_TRUE(written[0] == written[1]);
}

TEST(FlatFiles, AFailureOfOneThreadNamesItsTensor) {
  const auto files = two_files();
  const auto blocks = io::blocks_of(files);
  const TemporaryFolder folder;
  io::create_files(folder.path(), files);
  const auto fill = [&] {
    io::fill_files(folder.path(), files, blocks, Counted("y"), 4,
                   [](std::size_t, std::span<const std::byte>) {});
  };
  EXPECT_EQ(message_of<IoError>(fill), "y: no such luck");
}

TEST(BlockRooms, LargeBlocksGetFewerRoomsAndMoreThreads) {
  constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;
  const auto rooms_of = [](std::vector<std::uint64_t> blocks, int threads) {
    const io::BlockRooms rooms(blocks, threads);
    return std::vector<int>{rooms.count(), rooms.threads_a_block()};
  };
  EXPECT_THAT(rooms_of({kMiB, kMiB, kMiB, 2 * kMiB}, 2), ElementsAre(2, 1));
  EXPECT_THAT(rooms_of({kMiB}, 8), ElementsAre(1, 8));
  EXPECT_THAT(rooms_of({100 * kMiB, 1, 1, 1}, 8), ElementsAre(2, 4));
  EXPECT_THAT(rooms_of({257 * kMiB, 1}, 8), ElementsAre(1, 8));
  EXPECT_THAT(rooms_of({}, 8), ElementsAre(1, 8));
}

TEST(BlockRooms, MemoryLiesInPagesAsTheFileDoes) {
  const std::vector<std::uint64_t> blocks{100'000};
  io::BlockRooms rooms(blocks, 1);
  for (const std::uint64_t offset : {0, 1, 4095, 4096, 70'001}) {
    const io::BlockRooms::Lease room(rooms);
    const auto bytes = room.bytes_for(offset, 100'000);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(bytes.data()) % 4096, offset % 4096);
    EXPECT_EQ(bytes.size(), 100'000u);
  }
}

}  // namespace
}  // namespace caravan::test
