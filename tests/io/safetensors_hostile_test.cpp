#include "io/safetensors/reader.hpp"

#include "caravan/error.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "tests/io/temporary_folder.hpp"

namespace caravan::test {
namespace {

using io::SafetensorsFile;
using ::testing::HasSubstr;

std::string with_length(std::uint64_t length, const std::string& rest) {
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &length, 8);
  return bytes + rest;
}

struct Hostile {
  const char* claim;
  std::string bytes;
  const char* message;
};

std::string file_of(const std::string& header, std::size_t data) {
  return with_length(header.size(), header + std::string(data, '\1'));
}

std::string tensor(const std::string& rest) {
  return "{\"w\":{" + rest + "}}";
}

class HostileSafetensors : public ::testing::TestWithParam<Hostile> {};

TEST_P(HostileSafetensors, IsRefusedWithItsReason) {
  TemporaryFolder folder;
  spill(folder.file("h.safetensors"), GetParam().bytes);
  const std::string message =
      message_of<IoError>([&] { SafetensorsFile file(folder.file("h.safetensors")); });
  EXPECT_THAT(message, HasSubstr(GetParam().message));
  EXPECT_THAT(message, HasSubstr("h.safetensors"));
}

const std::string kGood = R"("dtype":"F32","shape":[2],"data_offsets":[0,8])";

INSTANTIATE_TEST_SUITE_P(
    Files, HostileSafetensors,
    ::testing::Values(
        Hostile{"Empty", "", "truncated?"}, Hostile{"SevenBytes", "1234567", "truncated?"},
        Hostile{"LengthAboveTheLimit", with_length(100'000'001, "{}"), "at most 100000000"},
        Hostile{"LengthOf2To64", with_length(~0ull, "{}"), "at most 100000000"},
        Hostile{"LengthPastTheEnd", with_length(1000, "{}"), "but has 2 after the length (truncated?)"},
        Hostile{"NotJson", file_of("{\"w\":", 0), "is not valid JSON"},
        Hostile{"NotUtf8", file_of("{\"\xff\":1}", 0), "is not valid JSON"},
        Hostile{"NotAnObject", file_of("[1]", 0), "is not a JSON object"},
        Hostile{"Deep", file_of(std::string(100'000, '['), 0), "more than 64 levels deep"},
        Hostile{"NameTwice", file_of("{\"w\":{" + kGood + "},\"w\":{" + kGood + "}}", 8),
                "has the key 'w' twice"},
        Hostile{"FieldTwice", file_of(tensor(kGood + ",\"dtype\":\"F32\""), 8), "has the key 'dtype' twice"},
        Hostile{"FieldMore", file_of(tensor(kGood + ",\"x\":1"), 8),
                "keys besides dtype, shape and data_offsets"},
        Hostile{"EmptyName", file_of("{\"\":{" + kGood + "}}", 8), "name has 0 bytes"},
        Hostile{"ControlInName", file_of("{\"a\\u0007b\":{" + kGood + "}}", 8), "outside printable ASCII"},
        Hostile{"LongName", file_of("{\"" + std::string(1025, 'n') + "\":{" + kGood + "}}", 8),
                "name has 1025 bytes"},
        Hostile{"UnknownType", file_of(tensor(R"("dtype":"F31","shape":[2],"data_offsets":[0,8])"), 8),
                "unknown dtype \"F31\""},
        Hostile{"SubByteType", file_of(tensor(R"("dtype":"F4","shape":[2],"data_offsets":[0,1])"), 1),
                "unknown dtype \"F4\""},
        Hostile{"NoShape", file_of(tensor(R"("dtype":"F32","data_offsets":[0,8])"), 8), "lacks 'shape'"},
        Hostile{"NegativeExtent", file_of(tensor(R"("dtype":"F32","shape":[-2],"data_offsets":[0,8])"), 8),
                "an extent that is not a whole number"},
        Hostile{"FractionalExtent", file_of(tensor(R"("dtype":"F32","shape":[2.0],"data_offsets":[0,8])"), 8),
                "an extent that is not a whole number"},
        Hostile{"OverflowingShape",
                file_of(tensor(R"("dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8])"), 8),
                "overflows 64 bits"},
        Hostile{"WrongShape", file_of(tensor(R"("dtype":"F32","shape":[3],"data_offsets":[0,8])"), 8),
                "has 8 bytes, but shape [3] of F32 needs 12"},
        Hostile{"WrongType", file_of(tensor(R"("dtype":"BF16","shape":[2],"data_offsets":[0,8])"), 8),
                "has 8 bytes, but shape [2] of BF16 needs 4"},
        Hostile{"OffsetsBackwards", file_of(tensor(R"("dtype":"F32","shape":[2],"data_offsets":[8,0])"), 8),
                "ends at byte 0 before it begins at 8"},
        Hostile{"OffsetsOutside", file_of(tensor(R"("dtype":"F32","shape":[2],"data_offsets":[0,8])"), 7),
                "ends at byte 8 of the data (the file has 7: truncated?)"},
        Hostile{
            "OffsetAbove63Bits",
            file_of(
                tensor(
                    R"("dtype":"F32","shape":[2],"data_offsets":[18446744073709551608,18446744073709551615])"),
                8),
            "an offset that is not a whole number"},
        Hostile{"ThreeOffsets", file_of(tensor(R"("dtype":"F32","shape":[2],"data_offsets":[0,8,8])"), 8),
                "has no pair of data_offsets"},
        Hostile{
            "Overlap",
            file_of("{\"a\":{" + kGood + R"(},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}})", 12),
            "tensor 'b' begins at byte 4 inside the tensor before it, which ends at 8"},
        Hostile{
            "Hole",
            file_of("{\"a\":{" + kGood + R"(},"b":{"dtype":"F32","shape":[2],"data_offsets":[12,20]}})", 20),
            "tensor 'b' begins at byte 12 after a hole that starts at 8"},
        Hostile{"DataAfterTheLast", file_of(tensor(kGood), 9), "has 1 bytes after its last tensor"},
        Hostile{"NumberAsMetadata", file_of(R"({"__metadata__":{"a":1}})", 0), "something that is not text"},
        Hostile{"ManyAxes",
                file_of(tensor("\"dtype\":\"U8\",\"shape\":[1" +
                               [] {
                                 std::string ones;
                                 for (int i = 0; i < 64; ++i) ones += ",1";
                                 return ones;
                               }() +
                               "],\"data_offsets\":[0,1]"),
                        1),
                "at most 64 extents"}),
    [](const auto& each) { return each.param.claim; });

TEST(HostileSafetensorsFile, FiveAxesAreReadUntilAShapeIsAsked) {
  TemporaryFolder folder;
  spill(folder.file("h"), file_of(tensor(R"("dtype":"U8","shape":[1,1,2,1,1],"data_offsets":[0,2])"), 2));
  const SafetensorsFile file(folder.file("h"));
  EXPECT_EQ(file.read_as_i64("w"), (std::vector<std::int64_t>{1, 1}));
  EXPECT_THAT(message_of<IoError>([&] { file.info("w").shape(); }),
              HasSubstr("tensor 'w' has 5 axes (at most 4"));
}

TEST(HostileSafetensorsFile, AMissingFileIsNamed) {
  EXPECT_THAT(message_of<IoError>([] { SafetensorsFile file("/nowhere/x.safetensors"); }),
              HasSubstr("cannot open /nowhere/x.safetensors (No such file or directory)"));
  EXPECT_THAT(message_of<IoError>([] { SafetensorsFile file("/tmp"); }),
              HasSubstr("/tmp is not a regular file"));
}

}  // namespace
}  // namespace caravan::test
