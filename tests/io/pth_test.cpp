#include "caravan/error.hpp"

#include "io/meta/pth_file.hpp"

#include <gmock/gmock.h>

#include <span>

#include "io/meta/pickle.hpp"
#include "io/meta/pickle_writer.hpp"
#include "io/meta/zip_layout.hpp"
#include "tests/io/temporary_folder.hpp"

namespace caravan::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

/// Files of public formats that the fuzzer begins with; each refusal is of one kind.
std::string corpus(const std::string& name) {
  return slurp(std::string(CARAVAN_FUZZ_CORPUS) + "/" + name);
}

std::string refusal_of_pickle(const std::string& name) {
  return message_of<IoError>([&] { io::read_pickled_tensors(corpus("pickle/" + name), "a.pth"); });
}

class Archives : public ::testing::Test {
 protected:
  std::string put(const std::string& name) const {
    spill(folder_.file("a.pth"), corpus("pth/" + name));
    return folder_.file("a.pth");
  }
  std::string refusal(const std::string& name) const {
    const std::string path = put(name);
    return message_of<IoError>([&] { io::PthFile file(path); });
  }
  TemporaryFolder folder_;
};

TEST(Pickles, NothingOfAPickleIsExecuted) {
  EXPECT_THAT(refusal_of_pickle("code"), HasSubstr("it names 'posix system'; nothing was executed"));
  EXPECT_THAT(refusal_of_pickle("code_inside"), HasSubstr("it names 'builtins eval'"));
  EXPECT_THAT(refusal_of_pickle("getattr"), HasSubstr("it names 'torch._utils __globals__'"));
  EXPECT_THAT(refusal_of_pickle("reduce_on_text"), HasSubstr("a function is missing or another thing"));
}

TEST(Pickles, WhatTorchWritesBesideTensorsIsNotLookedAt) {
  const io::PickledTensors found = io::read_pickled_tensors(corpus("pickle/torch"), "a.pth");
  ASSERT_EQ(found.tensors.size(), 1u);
  EXPECT_EQ(found.tensors.at("w").shape, (Shape{2, 3}));
  EXPECT_EQ(found.tensors.at("w").dtype, DType::f16);
  EXPECT_THAT(found.others, ElementsAre("x._extra_state", "n"));
}

TEST(Pickles, DictionariesOfTensorsInsideAreRefused) {
  EXPECT_THAT(refusal_of_pickle("nested"), HasSubstr("'model' is a dictionary of its own"));
}

TEST(Pickles, TensorsOutsideOfTheirStorageAreRefused) {
  for (const char* name : {"huge_stride", "offset", "expanded"})
    EXPECT_THAT(refusal_of_pickle(name), HasSubstr("a tensor lies outside of storage 0")) << name;
  EXPECT_THAT(refusal_of_pickle("negative"), HasSubstr("a size is -2"));
  EXPECT_THAT(refusal_of_pickle("five_axes"), HasSubstr("a tensor has 5 sizes and 5 strides"));
  EXPECT_THAT(refusal_of_pickle("twice"), HasSubstr("'a' stands in it twice"));
}

TEST(Pickles, TensorsWhoseElementsLieInEachOtherAreRefused) {
  EXPECT_THAT(refusal_of_pickle("overlap"), HasSubstr("a tensor of storage 0 overlaps itself"));
  EXPECT_EQ(refusal_of_pickle("transposed"), "");
}

/// Each of a million tensors may name the same storage, and has a copy of its name.
TEST(Pickles, LongNamesAreRefused) {
  EXPECT_THAT(refusal_of_pickle("long_storage"), HasSubstr("the name of a storage has 1025 bytes"));
  EXPECT_THAT(refusal_of_pickle("long_key"), HasSubstr("the name of a tensor has 1025 bytes"));
}

TEST(Pickles, NeitherRecursionNorLengthsThatAreNotThereMatter) {
  EXPECT_NE(refusal_of_pickle("deep"), "");
  EXPECT_NE(refusal_of_pickle("marks"), "");
  EXPECT_NE(refusal_of_pickle("tuple_in_itself"), "");
  EXPECT_THAT(refusal_of_pickle("long_text"), HasSubstr("it is cut"));
  EXPECT_THAT(refusal_of_pickle("long_number"), HasSubstr("a number is too large"));
  EXPECT_THAT(refusal_of_pickle("protocol_5"), HasSubstr("its protocol is 5"));
}

TEST(Pickles, WhatIsWrittenIsRead) {
  const std::vector<io::TensorToPickle> tensors{
      {"a.b", DType::bf16, {3, 5}}, {"large", DType::f32, {1 << 20, 1 << 12}}, {"one", DType::f64, {}}};
  const auto found = io::read_pickled_tensors(io::pickle_of(tensors), "a.pth").tensors;
  ASSERT_EQ(found.size(), 3u);
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const io::PickledTensor& tensor = found.at(tensors[i].name);
    EXPECT_EQ(tensor.shape, tensors[i].shape);
    EXPECT_EQ(tensor.dtype, tensors[i].dtype);
    EXPECT_EQ(tensor.storage, std::to_string(i));
    EXPECT_EQ(tensor.strides, TensorView(nullptr, DType::u8, tensors[i].shape).strides);
  }
}

TEST_F(Archives, ValuesAreReadFromEveryWayOfWritingThem) {
  for (const char* name : {"good", "descriptors", "wide", "comment"}) {
    const io::PthFile file(put(name));
    float values[4] = {};
    file.read_place(file.place("b"), TensorView(values, DType::f32, {4}));
    EXPECT_THAT(values, ElementsAre(1, 1, 1, 1)) << name;
  }
}

TEST_F(Archives, LiesOfADirectoryAreRefused) {
  EXPECT_THAT(refusal("compressed"), HasSubstr("x/data.pkl is compressed or encrypted"));
  EXPECT_THAT(refusal("overlap"), HasSubstr("is not where its directory says"));
  EXPECT_THAT(refusal("other_name"), HasSubstr("is not where its directory says"));
  EXPECT_THAT(refusal("twice"), HasSubstr("x/byteorder stands in it twice"));
  EXPECT_THAT(refusal("cut"), HasSubstr("truncated?"));
  EXPECT_THAT(refusal("nothing"), HasSubstr("it is too short"));
  for (const char* name : {"beyond", "wide_lie", "wide_lie_all", "many", "end_alone"})
    EXPECT_NE(refusal(name), "") << name;
}

TEST_F(Archives, WhatIsNoFileOfTorchIsRefused) {
  EXPECT_THAT(refusal("two_pickles"), HasSubstr("has two pickles"));
  EXPECT_THAT(refusal("big_endian"), HasSubstr("another byte order"));
  EXPECT_THAT(refusal("no_storage"), HasSubstr("lacks the storage 1 of 'b'"));
  EXPECT_THAT(refusal("short_storage"), HasSubstr("has 20 bytes (its pickle says 6 elements of f32)"));
}

TEST_F(Archives, ChecksumsOfPartsAreThatOfTheWhole) {
  const std::string text = "The quick brown fox jumps over the lazy dog";
  EXPECT_EQ(io::crc32_of(text), 0x414FA339u);  // a value that is widely printed
  EXPECT_EQ(io::crc32_of_both(io::crc32_of(text.substr(0, 7)), io::crc32_of(text.substr(7)), text.size() - 7),
            0x414FA339u);
}

}  // namespace
}  // namespace caravan::test
