#include <cstdint>

#include "jobs/inspect/npy.hpp"
#include "tests/inspect/inspect_test.hpp"
#include "tests/inspect/memory_tensors.hpp"

namespace caravan::test {
namespace {

using ::testing::HasSubstr;

TEST(NpyHeader, IsAlignedAndSaysTypeAndShape) {
  const std::string header = jobs::npy_header(io::NumberType::f32, {4, 8});
  EXPECT_EQ(header.size() % 64, 0u);
  EXPECT_EQ(header.substr(0, 8), std::string("\x93NUMPY\x01\x00", 8));
  EXPECT_EQ(static_cast<unsigned char>(header[8]) + 256 * static_cast<unsigned char>(header[9]),
            header.size() - 10);
  EXPECT_THAT(header, HasSubstr("{'descr': '<f4', 'fortran_order': False, 'shape': (4, 8), }"));
  EXPECT_EQ(header.back(), '\n');
  EXPECT_THAT(jobs::npy_header(io::NumberType::u8, {3}), HasSubstr("'|u1'"));
  EXPECT_THAT(jobs::npy_header(io::NumberType::i64, {3}), HasSubstr("(3,)"));
  EXPECT_THAT(jobs::npy_header(io::NumberType::f16, {}), HasSubstr("()"));
}

TEST(WriteNpy, WidensBf16AndNothingElse) {
  TemporaryFolder folder;
  MemoryTensors source;
  source.add("/model/b", std::vector<std::uint16_t>{0x3F80, 0xC000, 0x4040, 0}, {2, 2}, DType::bf16);
  source.add("/model/h", std::vector<std::uint16_t>{0x3C00}, {1}, DType::f16);
  jobs::write_npy(source, jobs::parse_selection("b[:,0]", source.tensors()), folder.file("b.npy"));
  const std::string bytes = slurp(folder.file("b.npy"));
  float values[2];
  ASSERT_EQ(bytes.size() % 64, sizeof(values));
  std::memcpy(values, bytes.data() + bytes.size() - sizeof(values), sizeof(values));
  EXPECT_EQ(values[0], 1);
  EXPECT_EQ(values[1], 3);
  EXPECT_THAT(bytes, HasSubstr("'<f4', 'fortran_order': False, 'shape': (2,)"));
  jobs::write_npy(source, jobs::parse_selection("h", source.tensors()), folder.file("h.npy"));
  EXPECT_EQ(slurp(folder.file("h.npy")).size() % 64, 2u);
}

class Export : public InspectTest {};

/// numpy reads what is exported, and h5py reads what it came from.
TEST_F(Export, IsWhatPythonReadsFromTheCheckpoint) {
  if (std::system("/usr/bin/python3 -c 'import h5py, numpy' 2> /dev/null") != 0)
    GTEST_SKIP() << "no python3-h5py";
  const std::string path = SmallCheckpoint(file("run"), 1)
                               .add("/model/w.weight", {1, 2, 3, 4, 5, 6}, {2, 3})
                               .add("/state/next_sample", std::int64_t{7})
                               .commit();
  ASSERT_EQ(inspect({path, "--export", "w.weight[:,1:]", file("w.npy")}).code, 0);
  spill(file("check.py"), R"(import sys, h5py, numpy
exported = numpy.load(sys.argv[2])
with h5py.File(sys.argv[1]) as f:
    assert (exported == f['/model/w.weight'][:, 1:]).all() and exported.dtype == numpy.float32
    assert f['/state'].attrs['next_sample'] == 7
)");
  const std::string command =
      "/usr/bin/python3 " + file("check.py") + " " + path + "/checkpoint.h5 " + file("w.npy");
  EXPECT_EQ(std::system(command.c_str()), 0);
}

TEST_F(Export, OfNothingWritesNoFile) {
  const std::string path = SmallCheckpoint(file("run"), 1).add("/model/w.weight", {1}, {1}).commit();
  const Outcome outcome = inspect({path, "--export", "w.wieght", file("w.npy")});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("Did you mean w.weight?"));
  EXPECT_FALSE(std::filesystem::exists(file("w.npy")));
}

}  // namespace
}  // namespace caravan::test
