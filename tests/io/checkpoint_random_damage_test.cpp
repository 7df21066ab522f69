#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <random>

#include "caravan/error.hpp"
#include "io/checkpoint/reader.hpp"
#include "tests/io/sample_checkpoint.hpp"
#include "tests/io/temporary_folder.hpp"

// Bits flip and files lose their ends, as often as CARAVAN_FLIPS says.
namespace caravan::test {
namespace {

namespace fs = std::filesystem;
using ::testing::AnyOf;
using ::testing::HasSubstr;

int rounds() {
  const char* wanted = std::getenv("CARAVAN_FLIPS");
  return wanted ? std::atoi(wanted) : 200;
}

/// Two shards and the file that shows them whole.
std::string write_sharded(const std::string& run) {
  Sample sample(3, 1 << 12);
  const std::vector<io::TensorRecord> tensors{{"/model/w.weight", DType::f32, {1 << 9, 8}},
                                              {"/optimizer/m/w.weight", DType::f32, {1 << 9, 8}}};
  io::StagingFolder staging(run, "step-00000003");
  std::vector<io::FileRecord> shares;
  for (int writer = 0; writer < 2; ++writer) {
    const auto pieces = io::share_of(tensors, writer, 2);
    auto& values = writer == 0 ? sample.weight : sample.moment;
    shares.push_back(io::write_share(staging.path(), writer, 2, sample.head(), pieces, [&](std::size_t) {
      return TensorView(values.data(), DType::f32, {1 << 9, 8});
    }));
  }
  return io::publish(staging, sample.head(), std::move(shares), nullptr);
}

/// What opening says, or nothing.
std::string complaint(const std::string& checkpoint) {
  return message_of<IoError>([&] { io::CheckpointReader::open(checkpoint, io::Check::everything); });
}

TEST(RandomDamage, IsAlwaysFoundAndItsPlaceNamed) {
  TemporaryFolder folder;
  const std::string path = write_sharded(folder.path());
  ASSERT_EQ(complaint(path), "");
  const std::vector<std::string> files{"checkpoint.h5", "shard-00000.h5", "shard-00001.h5", "manifest.json"};
  std::mt19937 random(std::random_device{}());
  for (int round = 0; round < rounds(); ++round) {
    const std::string name = path + "/" + files[random() % files.size()], whole = slurp(name);
    const std::size_t at = random() % whole.size();
    const bool cuts = random() % 4 == 0;
    std::string damaged = cuts ? whole.substr(0, at) : whole;
    if (!cuts) damaged[at] = static_cast<char>(damaged[at] ^ (1 << random() % 8));
    spill(name, damaged);
    const std::string message = complaint(path);
    EXPECT_THAT(message, HasSubstr(name)) << (cuts ? "cut at " : "flipped in byte ") << at;
    EXPECT_THAT(
        message,
        AnyOf(HasSubstr("damaged in /model/w.weight"), HasSubstr("damaged in /optimizer/m/w.weight"),
              HasSubstr("damaged outside its tensors"), HasSubstr("truncated"), HasSubstr("manifest.json")));
    spill(name, whole);
  }
  EXPECT_EQ(complaint(path), "");
}

}  // namespace
}  // namespace caravan::test
