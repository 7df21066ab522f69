#include <filesystem>
#include <fstream>

#include "io/checkpoint/layout.hpp"
#include "io/checkpoint/sharded.hpp"
#include "tests/inspect/inspect_test.hpp"

namespace caravan::test {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

/// A tensor of three blocks and a small one.
class Verification : public InspectTest {
 protected:
  void SetUp() override {
    InspectTest::SetUp();
    const std::int64_t rows = 3 * static_cast<std::int64_t>(io::kBlockBytes) / 4096;
    path_ = SmallCheckpoint(folder_.path(), 1)
                .add("/model/large.weight", std::vector<float>(static_cast<std::size_t>(rows) * 1024, 1.0f),
                     {rows, 1024})
                .add("/model/small.weight", {1, 2}, {2})
                .commit();
  }
  /// Flips one bit `byte` bytes into a tensor.
  void flip(const std::string& tensor, std::uint64_t byte) const {
    std::fstream file(path_ + "/checkpoint.h5", std::ios::in | std::ios::out | std::ios::binary);
    const auto at = static_cast<std::streamoff>(offset_of(path_, tensor) + byte);
    file.seekg(at);
    const char flipped = static_cast<char>(file.get() ^ 4);
    file.seekp(at);
    file.put(flipped);
  }
  std::string path_;
};

std::string bytes_of_block(std::uint64_t block) {
  return "bytes " + std::to_string(block * io::kBlockBytes) + " to " +
         std::to_string((block + 1) * io::kBlockBytes) + " of the dataset";
}

TEST_F(Verification, NamesEveryDamagedBlock) {
  flip("/model/large.weight", 5);
  flip("/model/large.weight", 2 * io::kBlockBytes + 7);
  flip("/model/small.weight", 0);
  const json shown = inspect_json({path_, "--verify"}, 3);
  const json& damage = shown["checkpoints"][0]["damage"];
  ASSERT_EQ(damage.size(), 3u);
  EXPECT_EQ(damage[0]["tensor"], "/model/large.weight");
  EXPECT_THAT(damage[0]["why"].get<std::string>(), HasSubstr(bytes_of_block(0)));
  EXPECT_THAT(damage[1]["why"].get<std::string>(), HasSubstr(bytes_of_block(2)));
  EXPECT_EQ(damage[2]["tensor"], "/model/small.weight");
  EXPECT_EQ(damage[2]["end"].get<std::uint64_t>() - damage[2]["begin"].get<std::uint64_t>(), 8u);
  EXPECT_THAT(inspect({path_, "--verify"}).out, HasSubstr("is damaged in /model/small.weight"));
}

TEST_F(Verification, AViewThatMeetsADamagedBlockRefuses) {
  flip("/model/large.weight", 2 * io::kBlockBytes + 7);
  const Outcome statistics = inspect({path_, "--stats"});
  EXPECT_EQ(statistics.code, 3);
  EXPECT_THAT(statistics.err, HasSubstr(bytes_of_block(2)));
  EXPECT_EQ(inspect({path_, "--stats", "--tensors", "small*"}).code, 0);
  EXPECT_EQ(inspect({path_, "--export", "large.weight", file("x.npy")}).code, 3);
  EXPECT_FALSE(std::filesystem::exists(file("x.npy"))) << "whole or not at all";
}

TEST_F(Verification, FindsWhatIsMissingOrCut) {
  std::filesystem::resize_file(path_ + "/checkpoint.h5", 1000);
  EXPECT_THAT(inspect({path_, "--verify"}).out, HasSubstr("(truncated)"));
  std::filesystem::remove(path_ + "/checkpoint.h5");
  EXPECT_EQ(inspect_json({path_, "--verify"}, 3)["verified"], false);
  spill(path_ + "/manifest.json", "{}");
  EXPECT_THAT(inspect({path_, "--verify"}).out, HasSubstr("manifest.json"));
}

TEST_F(Verification, SaysHowMuchIsWhole) {
  const Outcome outcome = inspect({path_, "--verify"});
  EXPECT_EQ(outcome.code, 0);
  EXPECT_THAT(outcome.out, HasSubstr("verified, all 48."));
}

/// Two writers, each with half of the rows: three files, one tensor.
class ShardedInspection : public InspectTest {
 protected:
  void SetUp() override {
    InspectTest::SetUp();
    const io::CheckpointHead head{.step = 1, .job_yaml = "seed: 7\n", .layout = "two ranks"};
    io::StagingFolder staging(folder_.path() + "/checkpoints", io::step_folder(1));
    std::vector<io::FileRecord> shares;
    for (int writer : {0, 1}) {
      const auto pieces =
          io::share_of(std::vector<io::TensorRecord>{{"/model/w.weight", DType::f32, {4, 2}}}, writer, 2);
      std::vector<float> values(8, writer == 0 ? 1.0f : 3.0f);
      shares.push_back(io::write_share(staging.path(), writer, 2, head, pieces, [&](std::size_t piece) {
        return TensorView(values.data(), DType::f32, pieces[piece].shape());
      }));
    }
    path_ = io::publish(staging, head, std::move(shares), nullptr);
  }
  std::string path_;
};

TEST_F(ShardedInspection, ShowsTensorsWhole) {
  const json shown = inspect_json({path_});
  EXPECT_EQ(shown["files"], 3);
  EXPECT_EQ(shown["tensors"][0]["shape"], (json{4, 2}));
  EXPECT_EQ(inspect_json({path_, "--show", "w.weight[:,0]"})["values"], (json{1.0, 1.0, 3.0, 3.0}));
  EXPECT_EQ(inspect_json({path_, "--stats"})["tensors"][0]["mean"], 2.0);
  EXPECT_EQ(inspect({path_ + "/shard-00001.h5"}).code, 0) << "a shard stands for its checkpoint";
}

TEST_F(ShardedInspection, VerifiesEveryShard) {
  EXPECT_EQ(inspect({path_, "--verify"}).code, 0);
  std::filesystem::resize_file(path_ + "/shard-00001.h5", 100);
  EXPECT_THAT(inspect({path_, "--verify"}).out, HasSubstr("shard-00001.h5 has 100 bytes"));
  EXPECT_EQ(inspect({path_}).code, 3);
}

}  // namespace
}  // namespace caravan::test
