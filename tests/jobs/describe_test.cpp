#include <gmock/gmock.h>

#include <algorithm>
#include <filesystem>

#include "tests/jobs/job_test.hpp"

// What the executable says of its jobs and of itself.
namespace caravan::test {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class Describe : public JobTest {
 protected:
  /// What bash would offer after these words, of which the last is being typed.
  std::string offered(const std::vector<std::string>& words) const {
    std::string text;
    for (const std::string& word : words) text += " '" + word + "'";
    spill(file("complete.sh"), "source " + file("caravan.bash") + "\nCOMP_WORDS=(caravan" + text +
                                   ")\nCOMP_CWORD=" + std::to_string(words.size()) +
                                   "\n_caravan\necho \"${COMPREPLY[*]}\"\n");
    Command command{{file("complete.sh")}, 0, {}, 60};
    command.program = "/bin/bash";
    const Outcome outcome = run(command);
    EXPECT_TRUE(ended_with(outcome, 0)) << outcome.err;
    return outcome.out.substr(0, outcome.out.find('\n'));
  }
};

TEST_F(Describe, ThePageOfDocsIsWhatJobsAreCheckedAgainst) {
  const Outcome outcome = caravan({"describe", "job", "--markdown"});
  ASSERT_TRUE(ended_with(outcome, 0));
  EXPECT_EQ(outcome.out, slurp(CARAVAN_SOURCE_DOCS "/job-reference.md"))
      << "caravan describe job --markdown > docs/job-reference.md writes it anew";
}

TEST_F(Describe, ASectionAndItsMaps) {
  const Outcome one = caravan({"describe", "job", "checkpoint.from"});
  ASSERT_TRUE(ended_with(one, 0));
  EXPECT_THAT(one.out, HasSubstr("all|model"));
  EXPECT_THAT(one.out, Not(HasSubstr("keep_latest")));
  const auto json = nlohmann::json::parse(caravan({"describe", "job", "--json"}).out);
  EXPECT_EQ(json["sections"][1]["name"], "train");
  EXPECT_EQ(json["sections"][1]["params"][0]["name"], "steps");
  EXPECT_TRUE(json["sections"][1]["params"][0]["required"]);
  const auto is_muon = [](const auto& known) {
    return known["kind"] == "optimizer" && known["name"] == "muon";
  };
  EXPECT_EQ(std::ranges::count_if(json["components"], is_muon), 1);
  const Outcome near = caravan({"describe", "job", "trian"});
  EXPECT_TRUE(ended_with(near, 2));
  EXPECT_THAT(near.last_line(), HasSubstr("no section 'trian' in a job. Did you mean 'train'?"));
}

TEST_F(Describe, AManualPageForEachVerb) {
  const Outcome outcome = caravan({"describe", "manual", "--output", file("man/man1")});
  ASSERT_TRUE(ended_with(outcome, 0));
  EXPECT_THAT(slurp(file("man/man1/caravan.1")), HasSubstr("\\fBcaravan\\-train\\fR(1)"));
  EXPECT_THAT(slurp(file("man/man1/caravan-convert.1")), HasSubstr("\\-\\-shard\\-size"));
  EXPECT_THAT(slurp(file("man/man1/caravan-data.1")), HasSubstr(".SS caravan data prepare"));
  EXPECT_TRUE(ended_with(caravan({"describe", "manual", "--output", "/proc/nowhere"}), 3));
}

TEST_F(Describe, RoffTakesThePagesWithoutAWord) {
  const std::string groff = CARAVAN_GROFF;
  if (groff.empty()) GTEST_SKIP() << "no groff";
  ASSERT_TRUE(ended_with(caravan({"describe", "manual", "--output", file("man")}), 0));
  for (const auto& page : fs::directory_iterator(file("man"))) {
    Command command{{"-Kutf8", "-man", "-Tutf8", "-ww", "-z", page.path().string()}, 0, {}, 60};
    command.program = groff;
    const Outcome outcome = run(command);
    EXPECT_TRUE(ended_with(outcome, 0));
    EXPECT_THAT(outcome.err, IsEmpty()) << page.path();
  }
}

TEST_F(Describe, BashCompletesVerbsOptionsAndTheirWords) {
  const Outcome script = caravan({"describe", "completion"});
  ASSERT_TRUE(ended_with(script, 0));
  spill(file("caravan.bash"), script.out);
  EXPECT_EQ(offered({"tr"}), "train");
  EXPECT_EQ(offered({"data", ""}), "prepare inspect");
  EXPECT_EQ(offered({"train", "job.yaml", "--dry"}), "--dry-run");
  EXPECT_EQ(offered({"convert", "a", "b", "--to", "h"}), "hf hdf5");
  EXPECT_EQ(offered({"convert", "train"}), "") << "a folder's name is no verb; files come next";
}

}  // namespace
}  // namespace caravan::test
