#include "plugins/device/cuda/device/library_versions.hpp"

#include <gmock/gmock.h>

namespace caravan::cuda {
namespace {

using ::testing::HasSubstr;

TEST(LibraryVersions, TheSameMajorVersionAndNotOlderServes) {
  EXPECT_EQ(version_problem("cuDNN", {9, 19}, {9, 19}), "");
  EXPECT_EQ(version_problem("cuDNN", {9, 19}, {9, 20}), "");
}

TEST(LibraryVersions, OlderOnesAndOtherMajorVersionsAreRefusedByName) {
  EXPECT_THAT(version_problem("cuDNN", {9, 19}, {9, 10}),
              HasSubstr("cuDNN 9.10 is loaded, and device 'cuda' was built with 9.19"));
  EXPECT_THAT(version_problem("cuBLAS", {13, 1}, {14, 2}), HasSubstr("cuBLAS 14.2 is loaded"));
  EXPECT_THAT(version_problem("cuBLAS", {13, 1}, {12, 9}), HasSubstr("was built with 13.1"));
}

TEST(LibraryVersions, ThoseOfThisMachineServeWhatWasBuiltHere) {
  EXPECT_NO_THROW(check_libraries());
  EXPECT_THAT(describe_libraries(), HasSubstr("cuDNN 9."));
}

}  // namespace
}  // namespace caravan::cuda
