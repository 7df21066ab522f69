#include <hdf5.h>

#include <array>
#include <random>

#include "io/files/sandbox.hpp"
#include "tests/inspect/inspect_test.hpp"

namespace caravan::test {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::Not;

/// Files that no manifest vouches for, some of them made to reach outside themselves.
class Foreign : public InspectTest {
 protected:
  void SetUp() override {
    InspectTest::SetUp();
    if (!io::has_sandbox()) GTEST_SKIP() << "built without libseccomp";
    spill(file("secret"), std::string(64, 'S'));
  }
  /// The message of a refusal, which must not hold the secret.
  std::string refusal(const std::string& path) const {
    const Outcome outcome = inspect({path, "--stats"});
    EXPECT_EQ(outcome.code, 3) << outcome.out;
    EXPECT_THAT(outcome.out, Not(HasSubstr("83"))) << "the letters of the secret";
    return outcome.err;
  }
  /// A file with one dataset of eight bytes, made with `creation`.
  std::string with_dataset(hid_t creation) const {
    const hid_t made = H5Fcreate(file("x.h5").c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    const hsize_t extent = 8;
    const hid_t space = H5Screate_simple(1, &extent, nullptr);
    H5Dclose(H5Dcreate2(made, "/w", H5T_STD_U8LE, space, H5P_DEFAULT, creation, H5P_DEFAULT));
    H5Sclose(space);
    H5Pclose(creation);
    H5Fclose(made);
    return file("x.h5");
  }
};

TEST_F(Foreign, EveryViewReadsThemThroughTheChild) {
  const std::string ours =
      SmallCheckpoint(file("run"), 1).add("/model/layers.0.attention.wq.weight", {3, 4}, {2}).commit();
  std::filesystem::copy(ours + "/checkpoint.h5", file("x.h5"));
  const std::string name = "layers.0.attention.wq.weight";
  EXPECT_EQ(inspect_json({file("x.h5"), "--stats"})["tensors"][0]["norm"], 5.0);
  EXPECT_EQ(inspect_json({file("x.h5"), "--norms"})["layers"][0]["all"]["norm"], 5.0);
  EXPECT_EQ(inspect_json({file("x.h5"), "--show", name + "[1]"})["values"], (json{4.0}));
  EXPECT_EQ(inspect_json({file("x.h5"), "--histogram", "--bins", "2"})["tensors"][0]["counts"], (json{1, 1}));
  EXPECT_EQ(inspect({file("x.h5"), "--export", name, file("x.npy")}).code, 0);
}

TEST_F(Foreign, StorageInOtherFilesIsRefused) {
  const hid_t creation = H5Pcreate(H5P_DATASET_CREATE);
  H5Pset_external(creation, file("secret").c_str(), 0, 8);
  EXPECT_THAT(refusal(with_dataset(creation)), HasSubstr("dataset /w lies in other files"));
}

TEST_F(Foreign, VirtualDatasetsAreRefused) {
  const hid_t creation = H5Pcreate(H5P_DATASET_CREATE);
  const hsize_t extent = 8;
  const hid_t space = H5Screate_simple(1, &extent, nullptr);
  H5Pset_virtual(creation, space, file("other.h5").c_str(), "/w", space);
  H5Sclose(space);
  EXPECT_THAT(refusal(with_dataset(creation)), HasSubstr("dataset /w is virtual"));
}

TEST_F(Foreign, LinksToOtherFilesAreRefused) {
  const hid_t made = H5Fcreate(file("x.h5").c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
  H5Lcreate_external(file("other.h5").c_str(), "/w", made, "/link", H5P_DEFAULT, H5P_DEFAULT);
  H5Fclose(made);
  EXPECT_THAT(refusal(file("x.h5")), HasSubstr("/link is an external link"));
}

TEST_F(Foreign, FiltersOfPluginsAreRefused) {
  constexpr H5Z_filter_t kLz4 = 32004;
  const hid_t creation = H5Pcreate(H5P_DATASET_CREATE);
  const hsize_t chunk = 8;
  H5Pset_chunk(creation, 1, &chunk);
  H5Pset_filter(creation, kLz4, H5Z_FLAG_OPTIONAL, 0, nullptr);
  EXPECT_THAT(refusal(with_dataset(creation)), HasSubstr("uses the filter 32004"));
}

TEST_F(Foreign, WhatCannotBeReadIsListedButRefusedByName) {
  const hid_t made = H5Fcreate(file("x.h5").c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
  const hsize_t extents[5] = {1, 1, 1, 1, 2};
  const hid_t space = H5Screate_simple(5, extents, nullptr);
  H5Dclose(H5Dcreate2(made, "/five", H5T_IEEE_F32LE, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
  H5Sclose(space);
  H5Fclose(made);
  EXPECT_EQ(inspect({file("x.h5")}).code, 0);
  EXPECT_EQ(inspect_json({file("x.h5"), "--stats"})["tensors"][0]["readable"], false);
  const Outcome outcome = inspect({file("x.h5"), "--show", "five"});
  EXPECT_EQ(outcome.code, 3);
  EXPECT_THAT(outcome.err, HasSubstr("/five holds f32 [1, 1, 1, 1, 2]"));
}

/// Whatever the bytes: the executable answers or refuses, and says so.
TEST_F(Foreign, MutatedFilesEndInAListOrInARefusal) {
  const std::string ours = SmallCheckpoint(file("run"), 1).add("/model/w.weight", {1, 2, 3}, {3}).commit();
  const std::string good = slurp(ours + "/checkpoint.h5");
  std::mt19937 random(11);
  std::array<int, 2> seen{};
  for (int round = 0; round < 60; ++round) {
    std::string bad = good.substr(0, round % 5 == 4 ? random() % good.size() + 1 : good.size());
    for (int i = 0; i < 8; ++i) bad[random() % bad.size()] = static_cast<char>(random());
    const std::string path = file("bad-" + std::to_string(round) + ".h5");
    spill(path, bad);
    const Outcome outcome = inspect({path, "--stats"});
    ASSERT_TRUE(outcome.code == 0 || outcome.code == 3)
        << "round " << round << ": " << outcome.code << " signal " << outcome.signal << " " << outcome.err;
    ++seen[outcome.code == 0 ? 0 : 1];
  }
  EXPECT_GT(seen[0], 0);
  EXPECT_GT(seen[1], 0);
}

}  // namespace
}  // namespace caravan::test
