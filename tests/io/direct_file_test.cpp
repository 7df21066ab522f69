#include "io/files/direct_file.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "caravan/error.hpp"
#include "io/files/direct_reader.hpp"
#include "tests/io/temporary_folder.hpp"

// Bytes that pass the page cache by are the bytes that were given, wherever they start and end.
namespace caravan::test {
namespace {

std::string noise(std::size_t bytes) {
  std::mt19937 random(11);
  std::string text(bytes, 0);
  for (char& byte : text) byte = static_cast<char>(random());
  return text;
}

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

constexpr std::size_t kSize = (std::size_t{5} << 20) + 1234;  // the last page is not full

std::vector<std::size_t> edges() {
  constexpr std::size_t page = io::DirectFile::kPage;
  return {
      0,         1,    page - 1, page, page + 1, 70'000, io::HugePages::kBytes, io::HugePages::kBytes + 17,
      kSize - 1, kSize};
}

TEST(DirectFile, WritesAnyStretch) {
  TemporaryFolder folder;
  const std::string path = folder.file("file"), data = noise(kSize);
  std::string wanted(kSize, '.');
  spill(path, wanted);
  for (std::size_t begin : edges()) {
    for (std::size_t end : edges()) {
      if (end < begin) continue;
      io::DirectFile file(path);
      file.write_at(begin, bytes_of(data).subspan(begin, end - begin));
      file.sync();
      wanted.replace(begin, end - begin, data, begin, end - begin);
      ASSERT_TRUE(slurp(path) == wanted) << begin << " " << end;
      wanted.assign(kSize, '.');
      spill(path, wanted);
    }
  }
}

TEST(DirectFile, WritesWholePagesFromWholePages) {
  TemporaryFolder folder;
  const std::string path = folder.file("file"), data = noise(kSize);
  spill(path, std::string(kSize, '.'));
  const io::HugePages pages(kSize);
  std::memcpy(pages.bytes().data(), data.data(), kSize);
  io::DirectFile(path).write_at(0, pages.bytes());
  EXPECT_TRUE(slurp(path) == data);
}

/// A place whose file system refuses O_DIRECT at the opening.
TEST(DirectFile, WithoutODirectTheSameBytesComeAndGo) {
  const std::string path = "/dev/shm/caravan-test-" + io::random_suffix(), data = noise(kSize);
  spill(path, std::string(kSize, '.'));
  io::DirectFile(path).write_at(0, bytes_of(data));
  std::string read;
  io::DirectReader().read(io::DirectReader::open(path, io::Through::disk), 1, kSize, [&](auto chunk) {
    read.append(reinterpret_cast<const char*>(chunk.data()), chunk.size());
  });
  EXPECT_TRUE(read == data.substr(1));
  std::filesystem::remove(path);
}

/// What O_DIRECT cannot do there, the page cache does.
TEST(DirectFile, ARefusalAfterTheOpeningIsNoError) {
  TemporaryFolder folder;
  const std::string path = folder.file("file"), data = noise(5000);
  spill(path, std::string(5000, '.'));
  const io::File file(path, O_RDWR | O_DIRECT);
  file.write_at(3, bytes_of(data).subspan(3, 4000));
  std::string read(4000, 0);
  file.read_at(3, std::as_writable_bytes(std::span(read)));
  EXPECT_TRUE(read == data.substr(3, 4000));
}

TEST(DirectReader, GivesAnyStretchInOrder) {
  TemporaryFolder folder;
  const std::string path = folder.file("file"), data = noise(kSize);
  spill(path, data);
  const io::File file = io::DirectReader::open(path, io::Through::disk);
  io::DirectReader reader;
  for (std::size_t begin : edges()) {
    for (std::size_t end : edges()) {
      if (end < begin) continue;
      std::string read;
      reader.read(file, begin, end, [&](std::span<const std::byte> chunk) {
        read.append(reinterpret_cast<const char*>(chunk.data()), chunk.size());
      });
      ASSERT_TRUE(read == data.substr(begin, end - begin)) << begin << " " << end;
    }
  }
}

TEST(DirectReader, AFileThatEndsBeforeIsAnError) {
  TemporaryFolder folder;
  spill(folder.file("file"), noise(5000));
  const io::File file = io::DirectReader::open(folder.file("file"), io::Through::disk);
  EXPECT_THAT(message_of<IoError>([&] { io::DirectReader().read(file, 4000, 5001, [](auto) {}); }),
              ::testing::HasSubstr("has 5000 bytes (5001 were expected: truncated?)"));
}

}  // namespace
}  // namespace caravan::test
