#include "jobs/plot/run_names.hpp"

#include <gmock/gmock.h>

#include "caravan/error.hpp"
#include "tests/io/temporary_folder.hpp"

namespace caravan::test {
namespace {

using jobs::distinct_names;
using ::testing::ElementsAre;

TEST(RunNames, AreAsShortAsTheyDiffer) {
  EXPECT_THAT(distinct_names({"/data/runs/small"}), ElementsAre("small"));
  EXPECT_THAT(distinct_names({"runs/small/", "runs/./large"}), ElementsAre("small", "large"));
  EXPECT_THAT(distinct_names({"/x/lr1/run", "/x/lr2/run", "/x/lr2/other"}),
              ElementsAre("lr1/run", "lr2/run", "lr2/other"));
  EXPECT_THAT(distinct_names({"/run", "/x/run"}), ElementsAre("run", "x/run"));
}

TEST(RunNames, OfOneRunTwiceAreRefused) {
  EXPECT_NE(message_of<ConfigError>([] {
              distinct_names({"runs/a", "runs/b/../a/"});
            }).find("given twice"),
            std::string::npos);
}

}  // namespace
}  // namespace caravan::test
