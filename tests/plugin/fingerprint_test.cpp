#include "core/plugin/fingerprint.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace caravan {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(Fingerprint, EqualOnesDoNotDiffer) {
  EXPECT_THAT(fingerprint_differences("a=1;b=2", "b=2;a=1"), IsEmpty());
}

TEST(Fingerprint, EveryDifferingKeyIsNamedOnceByName) {
  EXPECT_THAT(
      fingerprint_differences("sdk=1+a;mpi=x;cuda=12", "mpi=x;sdk=1+b;cxxabi=7"),
      ElementsAre("cuda: plugin 12, host none", "cxxabi: plugin none, host 7", "sdk: plugin 1+a, host 1+b"));
}

TEST(Fingerprint, NonsenseIsADifference) {
  EXPECT_THAT(fingerprint_differences("", "a=1"), ElementsAre("a: plugin none, host 1"));
  EXPECT_THAT(fingerprint_differences("a", "a=1"), ElementsAre("a: plugin , host 1"));
}

}  // namespace
}  // namespace caravan
