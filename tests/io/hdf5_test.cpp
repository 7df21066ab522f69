#include "caravan/error.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <numeric>
#include <vector>

#include "io/hdf5/attribute.hpp"
#include "io/hdf5/dataset.hpp"
#include "io/hdf5/element_type.hpp"
#include "io/hdf5/walk.hpp"
#include "tests/io/temporary_folder.hpp"

namespace caravan::test {
namespace {

using namespace io::h5;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class Hdf5 : public ::testing::Test {
 protected:
  std::string path_() const { return folder_.file("a.h5"); }
  std::string walk_refusal() const {
    return message_of<IoError>([&] { walk(H5File::open_to_read(path_())); });
  }
  TemporaryFolder folder_;
};

TEST_F(Hdf5, EveryTypeComesBackAsItself) {
  std::vector<std::byte> bytes(48);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i * 37);
  for (DType type : {DType::f32, DType::f64, DType::bf16, DType::f16, DType::i32, DType::i64, DType::u8}) {
    TemporaryFolder folder;
    H5File file = H5File::create(folder.file("t.h5"));
    const TensorView view(bytes.data(), type, {2, 3});
    Dataset::create(file, "/g/t", type, view.shape).write({}, view);
    file.finish();
    const Dataset dataset = Dataset::open(H5File::open_to_read(folder.file("t.h5")), "/g/t");
    EXPECT_EQ(dataset.dtype(), type);
    EXPECT_EQ(dataset.shape(), view.shape);
  }
}

TEST_F(Hdf5, BlocksAreReadAtTheirOrigin) {
  std::vector<float> values(24);
  std::iota(values.begin(), values.end(), 0.f);
  H5File file = H5File::create(path_());
  Dataset::create(file, "/t", DType::f32, {4, 6}).write({}, TensorView(values.data(), DType::f32, {4, 6}));
  file.finish();
  const H5File again = H5File::open_to_read(path_());
  std::vector<float> block(4);
  Dataset::open(again, "/t").read({2, 3}, TensorView(block.data(), DType::f32, {2, 2}));
  EXPECT_THAT(block, ElementsAre(15, 16, 21, 22));
  EXPECT_THAT(message_of<IoError>([&] {
                Dataset::open(again, "/t").read({3, 0}, TensorView(block.data(), DType::f32, {2, 2}));
              }),
              HasSubstr("dataset /t has shape [4, 6] (axis 0 cannot give 2 elements from 3)"));
}

TEST_F(Hdf5, TheFileOffsetIsWhereTheBytesAre) {
  std::vector<float> values{1, 2, 3};
  H5File file = H5File::create(path_());
  Dataset dataset = Dataset::create(file, "/t", DType::f32, {3});
  dataset.write({}, TensorView(values.data(), DType::f32, {3}));
  const auto offset = dataset.file_offset();
  dataset.close();
  file.finish();
  const std::string bytes = slurp(path_());
  ASSERT_LE(offset + 12, bytes.size());
  EXPECT_EQ(std::memcmp(bytes.data() + offset, values.data(), 12), 0);
}

TEST_F(Hdf5, AttributesKeepNumbersAndLongText) {
  const std::string job(200'000, 'j');
  H5File file = H5File::create(path_());
  write_attribute(file, "/", "step", std::int64_t{1} << 40);
  write_attribute(file, "/state", "rate", 0.1);
  write_attribute(file, "/", "job", job);
  file.finish();
  const H5File again = H5File::open_to_read(path_());
  EXPECT_EQ(std::get<std::int64_t>(read_attribute(again, "/", "step")), std::int64_t{1} << 40);
  EXPECT_EQ(std::get<double>(read_attribute(again, "/state", "rate")), 0.1);
  EXPECT_EQ(std::get<std::string>(read_attribute(again, "/", "job")), job);
  EXPECT_FALSE(has_attribute(again, "/nothing", "x"));
}

TEST_F(Hdf5, FailuresCarryTheReasonOfTheSystemOrOfHdf5) {
  EXPECT_EQ(message_of<IoError>([] { H5File::open_to_read("/nowhere/a.h5"); }),
            "cannot open /nowhere/a.h5 (No such file or directory)");
  spill(path_(), "not hdf5 at all");
  EXPECT_THAT(message_of<IoError>([&] { H5File::open_to_read(path_()); }),
              HasSubstr("file signature not found"));
}

TEST_F(Hdf5, AWalkListsGroupsAndDatasets) {
  H5File file = H5File::create(path_());
  Dataset::create(file, "/model/b", DType::bf16, {2, 3});
  Dataset::create(file, "/model/a", DType::f32, {});
  file.finish();
  const auto nodes = walk(H5File::open_to_read(path_()));
  ASSERT_EQ(nodes.size(), 3u);
  EXPECT_EQ(nodes[0].path, "/model");
  EXPECT_EQ(nodes[1].path, "/model/a");
  EXPECT_EQ(nodes[2].type, "bf16");
  EXPECT_EQ(nodes[2].bytes, 12u);
  EXPECT_THAT(nodes[2].extents, ElementsAre(2u, 3u));
}

TEST_F(Hdf5, AWalkRefusesLinksOutOfTheFile) {
  H5File file = H5File::create(path_());
  check(H5Lcreate_external("/etc/passwd", "/x", file.id(), "leak", H5P_DEFAULT, H5P_DEFAULT), "make",
        "a link");
  file.finish();
  EXPECT_THAT(walk_refusal(), HasSubstr("/leak is an external link"));
}

TEST_F(Hdf5, AWalkRefusesSoftLinks) {
  H5File file = H5File::create(path_());
  check(H5Lcreate_soft("/loop", file.id(), "loop", H5P_DEFAULT, H5P_DEFAULT), "make", "a link");
  file.finish();
  EXPECT_THAT(walk_refusal(), HasSubstr("/loop is a soft link"));
}

TEST_F(Hdf5, AWalkRefusesCyclesOfHardLinks) {
  H5File file = H5File::create(path_());
  const Handle group(H5Gcreate2(file.id(), "g", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT), H5Gclose);
  check(H5Lcreate_hard(file.id(), "/", group, "up", H5P_DEFAULT, H5P_DEFAULT), "make", "a link");
  file.finish();
  EXPECT_THAT(walk_refusal(), HasSubstr("/g/up is the group / in which it lies"));
}

TEST_F(Hdf5, AWalkRefusesDataInOtherFiles) {
  H5File file = H5File::create(path_());
  const hsize_t extent = 16;
  const Handle space(H5Screate_simple(1, &extent, nullptr), H5Sclose),
      list(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
  check(H5Pset_external(list, "/etc/os-release", 0, 16), "set", "external storage");
  Handle(checked(H5Dcreate2(file.id(), "leak", H5T_STD_U8LE, space, H5P_DEFAULT, list, H5P_DEFAULT), "make",
                 "leak"),
         H5Dclose);
  file.finish();
  EXPECT_THAT(walk_refusal(), HasSubstr("dataset /leak lies in other files"));
}

}  // namespace
}  // namespace caravan::test
