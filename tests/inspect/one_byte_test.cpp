#include <hdf5.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "io/files/sandbox.hpp"
#include "tests/jobs/job_test.hpp"

namespace caravan::test {
namespace {

/// Files with one byte changed, through the executable: read or refused, no signal, no hang. CARAVAN_BYTES
/// says how many of each kind (tests/reliability.sh: 600).
class OneByte : public JobTest {
 protected:
  void SetUp() override {
    JobTest::SetUp();
    if (!io::has_sandbox()) GTEST_SKIP() << "built without libseccomp";
    const char* bytes = std::getenv("CARAVAN_BYTES");
    rounds_ = bytes ? static_cast<unsigned>(std::stoul(bytes)) : 12;
  }

  /// Places spread over the file's structure and its data, the former more often; every kind of value.
  void change_bytes(const std::string& path, const std::vector<std::vector<std::string>>& commands) const {
    const std::string good = slurp(path);
    constexpr unsigned char kValues[] = {0x00, 0x01, 0x7f, 0x80, 0xff};
    for (unsigned round = 0; round < rounds_; ++round) {
      std::string bad = good;
      const std::size_t at = place(round, good.size());
      bad[at] = static_cast<char>(kValues[round % 5]);
      std::filesystem::remove(path);
      spill(path, bad);
      Command command{commands[round % commands.size()], 0, {}, 120};
      const Outcome outcome = run_program(command, folder_.path());
      EXPECT_TRUE(is_read_or_refused(outcome))
          << "byte " << at << " := " << int{kValues[round % 5]} << ": code " << outcome.code << ", signal "
          << outcome.signal << (outcome.timed_out ? ", hangs\n" : "\n") << outcome.err;
    }
    spill(path, good);
  }

  /// 2: what stands in the file cannot be used for what was asked, as a checkpoint without a model.
  static bool is_read_or_refused(const Outcome& outcome) {
    return !outcome.timed_out && outcome.signal == 0 &&
           (outcome.code == 0 || outcome.code == 2 || outcome.code == 3);
  }

  /// HDF5 keeps its structure at the beginning of small files.
  static std::size_t place(unsigned round, std::size_t size) {
    const std::size_t end = round % 4 == 3 ? size : std::min<std::size_t>(size, 4096);
    return (round * 2654435761u + round * round * 97u) % end;
  }

  unsigned rounds_ = 0;
};

/// Groups, attributes, chunks, compression, a checksum and an enumeration, in one of HDF5's two layouts.
std::string foreign_file(const std::string& path, H5F_libver_t version) {
  const hid_t access = H5Pcreate(H5P_FILE_ACCESS);
  H5Pset_libver_bounds(access, version, H5F_LIBVER_LATEST);
  const hid_t made = H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, access);
  const hsize_t extents[2] = {40, 10}, chunk[2] = {8, 10};
  const hid_t space = H5Screate_simple(2, extents, nullptr), packed = H5Pcreate(H5P_DATASET_CREATE);
  H5Pset_chunk(packed, 2, chunk);
  H5Pset_deflate(packed, 6);
  H5Pset_fletcher32(packed);
  const hid_t group = H5Gcreate2(made, "/g", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
  std::vector<float> values(400, 0.5f);
  for (const auto& [name, creation] : {std::pair("plain", hid_t{H5P_DEFAULT}), std::pair("packed", packed)}) {
    const hid_t set = H5Dcreate2(group, name, H5T_IEEE_F32BE, space, H5P_DEFAULT, creation, H5P_DEFAULT);
    H5Dwrite(set, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data());
    H5Dclose(set);
  }
  const hid_t text = H5Tcopy(H5T_C_S1), scalar = H5Screate(H5S_SCALAR);
  H5Tset_size(text, H5T_VARIABLE);
  const char* title = "a title";
  const hid_t attribute = H5Acreate2(group, "title", text, scalar, H5P_DEFAULT, H5P_DEFAULT);
  H5Awrite(attribute, text, &title);
  H5Aclose(attribute);
  H5Fclose(made);
  return path;
}

TEST_F(OneByte, OfForeignFilesOfEitherLayoutIsReadOrRefused) {
  for (const auto version : {H5F_LIBVER_EARLIEST, H5F_LIBVER_LATEST}) {
    const std::string path = foreign_file(file("x.h5"), version);
    change_bytes(path,
                 {{"inspect", path, "--stats"}, {"inspect", path}, {"inspect", path, "--show", "/g/packed"}});
  }
}

/// A run of two ranks: the file that readers open, and one of each rank; then the same files without the
/// manifest that vouches for them.
TEST_F(OneByte, OfTheFilesOfACheckpointIsReadOrRefused) {
  ASSERT_TRUE(ended_with(run(train(job(kMiniJob), "run", 2,
                                   {"train.steps=1", "checkpoint.enabled=true", "checkpoint.files=shards"})),
                         0));
  const std::string folder = file("run") + "/checkpoints/step-00000001", alone = file("alone.h5");
  std::vector<std::string> paths;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    if (entry.path().extension() == ".h5") paths.push_back(entry.path().string());
  ASSERT_GE(paths.size(), 3u) << "a file of all and one of each rank";
  for (const std::string& path : paths) {
    change_bytes(path, {{"inspect", folder, "--stats"},
                        {"inspect", folder, "--verify"},
                        {"generate", "--model", folder, "--prompt-ids", "1 2", "--max-new-tokens", "1",
                         "--device", "reference"}});
    std::filesystem::copy(path, alone, std::filesystem::copy_options::overwrite_existing);
    change_bytes(alone, {{"inspect", alone, "--stats"}, {"inspect", alone}});
  }
}

}  // namespace
}  // namespace caravan::test
