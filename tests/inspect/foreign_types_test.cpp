#include <hdf5.h>

#include <array>
#include <cstdint>
#include <limits>

#include "io/files/sandbox.hpp"
#include "tests/inspect/inspect_test.hpp"

namespace caravan::test {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

/// Files of other programs: what elements and attributes they hold.
class ForeignTypes : public InspectTest {
 protected:
  void SetUp() override {
    InspectTest::SetUp();
    if (!io::has_sandbox()) GTEST_SKIP() << "built without libseccomp";
    made_ = H5Fcreate(file("x.h5").c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
  }
  /// Values of type `memory`, stored as `stored`.
  void add(const std::string& name, hid_t stored, hid_t memory, const void* values, hsize_t count) const {
    const hid_t space = H5Screate_simple(1, &count, nullptr);
    const hid_t made = H5Dcreate2(made_, name.c_str(), stored, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    ASSERT_GE(H5Dwrite(made, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, values), 0) << name;
    H5Dclose(made);
    H5Sclose(space);
  }
  void add_empty(const std::string& name) const {
    const hid_t space = H5Screate(H5S_NULL);
    H5Dclose(H5Dcreate2(made_, name.c_str(), H5T_IEEE_F32LE, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
    H5Sclose(space);
  }
  void attribute(const std::string& object, const std::string& name, hid_t type, hid_t space,
                 const void* value) const {
    const hid_t opened = H5Oopen(made_, object.c_str(), H5P_DEFAULT);
    const hid_t made = H5Acreate2(opened, name.c_str(), type, space, H5P_DEFAULT, H5P_DEFAULT);
    if (value) {
      EXPECT_GE(H5Awrite(made, type, value), 0) << name;
    }
    H5Aclose(made);
    H5Sclose(space);
    H5Oclose(opened);
  }
  std::string closed() {
    H5Fclose(made_);
    return file("x.h5");
  }
  json shown(const std::string& name) const { return inspect_json({file("x.h5"), "--show", name}); }

  hid_t made_ = -1;
};

struct Stored {
  const char* name;
  hid_t type;
  const char* dtype;
  std::int64_t least;
  std::uint64_t most;
};

TEST_F(ForeignTypes, WholeNumbersOfEveryWidthSignAndByteOrderAreReadToTheLastDigit) {
  const auto least = [](int bits) { return -(std::int64_t{1} << (bits - 1)); };
  const auto most = [](int bits) { return ~std::uint64_t{0} >> (64 - bits); };
  const Stored all[] = {{"i8le", H5T_STD_I8LE, "i8", least(8), most(7)},
                        {"i8be", H5T_STD_I8BE, "i8", least(8), most(7)},
                        {"i16le", H5T_STD_I16LE, "i16", least(16), most(15)},
                        {"i16be", H5T_STD_I16BE, "i16 be", least(16), most(15)},
                        {"i32le", H5T_STD_I32LE, "i32", least(32), most(31)},
                        {"i32be", H5T_STD_I32BE, "i32 be", least(32), most(31)},
                        {"i64le", H5T_STD_I64LE, "i64", INT64_MIN, most(63)},
                        {"i64be", H5T_STD_I64BE, "i64 be", INT64_MIN, most(63)},
                        {"u8le", H5T_STD_U8LE, "u8", 0, most(8)},
                        {"u8be", H5T_STD_U8BE, "u8", 0, most(8)},
                        {"u16le", H5T_STD_U16LE, "u16", 0, most(16)},
                        {"u16be", H5T_STD_U16BE, "u16 be", 0, most(16)},
                        {"u32le", H5T_STD_U32LE, "u32", 0, most(32)},
                        {"u32be", H5T_STD_U32BE, "u32 be", 0, most(32)},
                        {"u64le", H5T_STD_U64LE, "u64", 0, most(64)},
                        {"u64be", H5T_STD_U64BE, "u64 be", 0, most(64)}};
  for (const Stored& one : all) {
    const std::array<std::int64_t, 2> lower{one.least, 7};
    const std::array<std::uint64_t, 2> upper{one.most, 7};
    add(std::string("least_") + one.name, one.type, H5T_NATIVE_INT64, lower.data(), 2);
    add(std::string("most_") + one.name, one.type, H5T_NATIVE_UINT64, upper.data(), 2);
  }
  closed();
  for (const Stored& one : all) {
    const json lower = shown(std::string("least_") + one.name),
               upper = shown(std::string("most_") + one.name);
    EXPECT_EQ(lower["values"], (json{one.least, 7})) << one.name;
    EXPECT_EQ(upper["values"], (json{one.most, 7})) << one.name;
    EXPECT_EQ(lower["dtype"], one.dtype);
  }
  EXPECT_THAT(inspect({file("x.h5"), "--show", "most_u64be"}).out, HasSubstr("18446744073709551615 7"));
  EXPECT_EQ(inspect({file("x.h5"), "--stats"}).code, 0);
  EXPECT_EQ(inspect({file("x.h5"), "--export", "most_u16be", file("x.npy")}).code, 0);
  EXPECT_THAT(slurp(file("x.npy")), HasSubstr("'<u2'"));
  EXPECT_TRUE(slurp(file("x.npy")).ends_with(std::string("\xff\xff\x07\x00", 4)));
}

TEST_F(ForeignTypes, TruthEnumerationsBitsOddWidthsAndBigEndianFloatsAreNumbersToo) {
  const hid_t truth = H5Tenum_create(H5T_STD_I8LE), colour = H5Tenum_create(H5T_STD_I16BE);
  std::int8_t flag = 0;
  H5Tenum_insert(truth, "FALSE", &flag);
  H5Tenum_insert(truth, "TRUE", &(flag = 1));
  const std::array<std::uint16_t, 2> swapped{0x0100, 0x0200};  // 1 and 2, big-endian
  H5Tenum_insert(colour, "RED", &swapped[0]);
  H5Tenum_insert(colour, "BLUE", &swapped[1]);
  add("truth", truth, truth, "\x01\x00\x01", 3);
  add("colour", colour, colour, swapped.data(), 2);
  add("bits", H5T_STD_B16BE, H5T_NATIVE_B16, std::array<std::uint16_t, 2>{5, 65535}.data(), 2);
  const hid_t odd = H5Tcopy(H5T_STD_U32LE);
  H5Tset_precision(odd, 12);
  add("odd", odd, H5T_NATIVE_UINT32, std::array<std::uint32_t, 2>{4095, 3}.data(), 2);
  add("float", H5T_IEEE_F64BE, H5T_NATIVE_DOUBLE, std::array<double, 2>{0.5, -3}.data(), 2);
  closed();
  EXPECT_EQ(shown("truth")["values"], (json{1, 0, 1}));
  EXPECT_EQ(shown("truth")["dtype"], "bool");
  EXPECT_EQ(shown("colour")["values"], (json{1, 2}));
  EXPECT_EQ(shown("bits")["values"], (json{5, 65535}));
  EXPECT_EQ(shown("odd")["values"], (json{4095, 3}));
  EXPECT_EQ(shown("odd")["dtype"], "u12");
  EXPECT_EQ(shown("float")["values"], (json{0.5, -3.0}));
}

TEST_F(ForeignTypes, NullDataspacesAreSkippedAndSaid) {
  add_empty("empty");
  add("w", H5T_STD_U16LE, H5T_NATIVE_INT, std::array<int, 2>{3, 4}.data(), 2);
  closed();
  const char* kWhy = "null dataspace (it holds no elements)";
  EXPECT_THAT(inspect({file("x.h5")}).out, HasSubstr(std::string("not read: ") + kWhy));
  EXPECT_EQ(inspect_json({file("x.h5")})["tensors"][0]["why"], kWhy);
  const json statistics = inspect_json({file("x.h5"), "--stats"})["tensors"];
  EXPECT_EQ(statistics[0]["readable"], false);
  EXPECT_EQ(statistics[1]["norm"], 5.0);
  EXPECT_THAT(inspect({file("x.h5"), "--stats"}).out, HasSubstr(std::string("skipped: ") + kWhy));
  const Outcome histogram = inspect({file("x.h5"), "--histogram"});
  EXPECT_EQ(histogram.code, 0) << histogram.err;
  EXPECT_THAT(histogram.out, HasSubstr(std::string("skipped /empty (f32): ") + kWhy));
  const Outcome shown = inspect({file("x.h5"), "--show", "empty"});
  EXPECT_EQ(shown.code, 3);
  EXPECT_THAT(shown.err, HasSubstr(kWhy));
  EXPECT_EQ(inspect({"--diff", file("x.h5"), file("x.h5")}).code, 0);
}

TEST_F(ForeignTypes, AFileOfNothingThatCanBeReadHasNoPicture) {
  add_empty("empty");
  closed();
  const Outcome outcome = inspect({file("x.h5"), "--histogram", "--svg", file("x.svg")});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("holds no tensor whose elements can be read"));
}

TEST_F(ForeignTypes, AttributesOfEveryKindAreShownBesideTheirObjects) {
  add("w", H5T_STD_U16LE, H5T_NATIVE_INT, std::array<int, 2>{3, 4}.data(), 2);
  const hid_t text = H5Tcopy(H5T_C_S1), fixed = H5Tcopy(H5T_C_S1);
  H5Tset_size(text, H5T_VARIABLE);
  H5Tset_size(fixed, 4);
  const char* title = "a\033[31m title";
  const hsize_t three = 3, many = 5000;
  const std::uint64_t large = UINT64_MAX;
  attribute("/", "title", text, H5Screate(H5S_SCALAR), &title);
  attribute("/", "large", H5T_STD_U64LE, H5Screate(H5S_SCALAR), &large);
  attribute("/", "nothing", H5T_IEEE_F64LE, H5Screate(H5S_NULL), nullptr);
  attribute("/w", "unit", fixed, H5Screate(H5S_SCALAR), "m/s");
  attribute("/w", "list", H5T_STD_I32LE, H5Screate_simple(1, &three, nullptr),
            std::array<std::int32_t, 3>{1, -2, 3}.data());
  attribute("/w", "many", H5T_STD_I8LE, H5Screate_simple(1, &many, nullptr), std::string(5000, 'x').data());
  const double nan = std::numeric_limits<double>::quiet_NaN();
  attribute("/w", "nan", H5T_IEEE_F64LE, H5Screate(H5S_SCALAR), &nan);
  closed();
  std::map<std::string, json> found;
  const json listed = inspect_json({file("x.h5")});
  for (const json& one : listed["attributes"])
    found[one["object"].get<std::string>() + "@" + one["name"].get<std::string>()] = one;
  EXPECT_EQ(found["/@title"]["value"], title);
  EXPECT_EQ(found["/@large"]["value"], large);
  EXPECT_EQ(found["/@nothing"]["value"], nullptr);
  EXPECT_THAT(found["/@nothing"]["why"], HasSubstr("null dataspace"));
  EXPECT_EQ(found["/w@unit"]["value"], "m/s");
  EXPECT_EQ(found["/w@list"]["value"], (json{1, -2, 3}));
  EXPECT_THAT(found["/w@many"]["why"], HasSubstr("5000 values"));
  EXPECT_EQ(found["/w@nan"]["value"], "NaN");
  const std::string tree = inspect({file("x.h5")}).out;
  EXPECT_THAT(tree, HasSubstr("@unit  = m/s"));
  EXPECT_THAT(tree, HasSubstr("[1, -2, 3]"));
  EXPECT_THAT(tree, ::testing::Not(HasSubstr("\033"))) << "nothing steers the terminal";
}

/// What is never written takes a reader for ever, one block of fill values after the other.
TEST_F(ForeignTypes, DatasetsThatClaimMoreThanTheFileHoldsAreNotRead) {
  const hsize_t extent = hsize_t{1} << 50, chunk = 1024;
  const hid_t space = H5Screate_simple(1, &extent, nullptr), creation = H5Pcreate(H5P_DATASET_CREATE);
  H5Pset_chunk(creation, 1, &chunk);
  H5Dclose(H5Dcreate2(made_, "huge", H5T_STD_U8LE, space, H5P_DEFAULT, creation, H5P_DEFAULT));
  closed();
  EXPECT_EQ(inspect_json({file("x.h5"), "--stats"})["tensors"][0]["why"],
            "only 0 of 1125899906842624 bytes are stored");
}

/// 20,000 took more than the two seconds of processor time that a whole file had.
TEST_F(ForeignTypes, AFileOfTwentyThousandDatasetsIsRead) {
  const hid_t space = H5Screate(H5S_SCALAR);
  for (int i = 0; i < 20'000; ++i)
    H5Dclose(H5Dcreate2(made_, ("group_w" + std::to_string(i)).c_str(), H5T_STD_U16LE, space, H5P_DEFAULT,
                        H5P_DEFAULT, H5P_DEFAULT));
  H5Sclose(space);
  closed();
  const json listed = inspect_json({file("x.h5")});
  ASSERT_EQ(listed["tensors"].size(), 20'000u);
  EXPECT_EQ(listed["tensors"][19'999]["name"], "/group_w19999");
}

}  // namespace
}  // namespace caravan::test
