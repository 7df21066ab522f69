#include <gmock/gmock.h>

#include <cstdlib>
#include <filesystem>

#include "caravan/schema.hpp"
#include "jobs/submit/allowed.hpp"
#include "jobs/submit/failing_nodes.hpp"
#include "jobs/submit/site.hpp"
#include "jobs/submit/site_schema.hpp"
#include "jobs/submit/submission.hpp"
#include "jobs/submit/sweep.hpp"
#include "jobs/submit/time_limit.hpp"
#include "tests/io/temporary_folder.hpp"
#include "tests/support/message_of.hpp"
#include "tests/support/plugin_dir.hpp"

namespace caravan::jobs {
namespace {

using caravan::testing::message_of;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

class Submit : public ::testing::Test {
 protected:
  Submit() {
    ::setenv("CARAVAN_PLUGIN_PATH", test::plugin_dir().c_str(), 1);
    test::spill(folder_.file("job.yaml"), R"(name: mini
model: {vocab_size: 64, dim: 32, layers: 2, heads: 2}
data: {source: synthetic, vocab_size: 64}
train: {steps: 6}
)");
    request_.job = folder_.file("job.yaml");
    request_.overrides = {"output=" + folder_.file("run")};
  }
  Site site(const std::string& yaml, const std::vector<std::string>& changes = {}) const {
    test::spill(folder_.file("site.yaml"), yaml);
    return load_site(folder_.file("site.yaml"), changes);
  }
  std::string file_of(const Submission& submission, const std::string& name) const {
    for (const auto& [each, text] : submission.files)
      if (each == name) return text;
    ADD_FAILURE() << "no file " << name;
    return "";
  }
  test::TemporaryFolder folder_;
  SubmitRequest request_;
};

TEST_F(Submit, EverySiteThatIsInstalledCanBeRead) {
  check_schema(kSiteParams, "site file");
  check_schema(kContainerParams, "section container");
  int sites = 0;
  for (const auto& entry : std::filesystem::directory_iterator(slurm_folder() / "sites")) {
    EXPECT_NO_THROW(load_site(entry.path().stem().string(), {})) << entry.path();
    ++sites;
  }
  EXPECT_GE(sites, 4);
}

TEST_F(Submit, ASitesMistakesAreNamedWithFileAndLine) {
  const std::vector<std::pair<std::string, std::string>> cases{
      {"partitoin: gpu\n", "site.yaml:1: unknown key 'partitoin'"},
      {"time: 1:0:0\npartition: a b\n", "site.yaml:2: partition: 'a b' (allowed: letters, digits and"},
      {"modules: [cuda, '-x']\n", "site.yaml:1: modules: '-x' (allowed: "},
      {"environment: {PATH: /x}\n",
       "a variable of environment: 'PATH' (allowed: letters, digits and _ after one"},
      {"environment: {LD_PRELOAD: x.so}\n", "'LD_PRELOAD'"},
      {"environment: {\"NCCL_X;touch\": x}\n", "'NCCL_X;touch'"},
      {"memory: 64GB\n", "memory: '64GB' (allowed: a number with K, M, G or T"},
      {"container: {kind: pyxis}\n", "image"},
      {"container: {kind: pyxis, image: x, mounts: ['/a:/a,/:/host']}\n", "a comma separates mounts"},
      {"launcher: ssh\n", "launcher='ssh' (must be one of: srun, mpirun)"},
      {"tasks_per_node: 0\n", "tasks_per_node=0"},
  };
  for (const auto& [yaml, message] : cases)
    EXPECT_THAT(message_of([&] { site(yaml); }), HasSubstr(message)) << yaml;
}

TEST_F(Submit, AnUnknownSiteIsAnsweredWithTheNearest) {
  EXPECT_THAT(message_of([] { load_site("hopper-ip", {}); }), HasSubstr("Did you mean 'hopper-ib'?"));
  EXPECT_THAT(message_of([] { load_site("../job", {}); }), HasSubstr("--site: '../job'"));
}

TEST_F(Submit, OneJobIsOneCommandWithEveryValueInItsOwnWord) {
  request_.nodes = 2;
  request_.time = "1-02:00:00";
  request_.after = "77";
  request_.exclude = {"n3", "n4"};
  const Submission plan = plan_submission(
      request_, site("partition: gpu\naccount: a.b\ngpus_per_node: 8\ncpus_per_task: 4\nmemory: 0\n"));

  const auto words = plan.command(0, "");

  EXPECT_EQ(words[0], "sbatch");
  for (const char* word :
       {"--nodes=2", "--ntasks-per-node=8", "--gpus-per-node=8", "--cpus-per-task=4", "--time=1-02:00:00",
        "--mem=0", "--signal=B:USR1@120", "--partition=gpu", "--account=a.b", "--exclusive",
        "--dependency=afterok:77", "--kill-on-invalid-dep=yes", "--exclude=n3,n4", "--job-name=mini"})
    EXPECT_THAT(words, Contains(word));
  EXPECT_EQ(words[words.size() - 2], plan.folder + "/gpu.sbatch");
  EXPECT_EQ(words.back(), plan.folder + "/run.env");
  EXPECT_THAT(file_of(plan, "job.yaml"), HasSubstr("output: " + folder_.file("run")));
  EXPECT_FALSE(std::filesystem::exists(folder_.file("run"))) << "planning writes nothing";
}

TEST_F(Submit, AnArrayHasAJobFileForEachCombination) {
  request_.sweep = {"train.lr=1e-3,3e-4", "seed=1,2,3"};
  request_.at_once = 2;

  const Submission plan = plan_submission(request_, site("tasks_per_node: 2\n"));

  EXPECT_THAT(plan.command(0, ""), Contains("--array=0-5%2"));
  EXPECT_THAT(file_of(plan, "job-5.yaml"), HasSubstr("lr: 3e-4"));
  EXPECT_THAT(file_of(plan, "job-5.yaml"), HasSubstr("seed: 3"));
  EXPECT_THAT(file_of(plan, "job-5.yaml"), HasSubstr("output: " + folder_.file("run/task-5")));
  EXPECT_THAT(file_of(plan, "task-5.env"), HasSubstr("CARAVAN_RUN='" + folder_.file("run/task-5") + "'"));
  EXPECT_THAT(plan.notes, Contains("task 5: train.lr=3e-4 seed=3"));
}

TEST_F(Submit, AChainWaitsForTheLinkBeforeAndOnlyTheLastEndsIt) {
  request_.chain = 3;
  const Submission plan = plan_submission(request_, site(""));

  EXPECT_THAT(plan.command(0, ""), Not(Contains(HasSubstr("--dependency"))));
  EXPECT_THAT(plan.command(1, "12"), Contains("--dependency=afterok:12"));
  EXPECT_EQ(plan.command(1, "12").back(), plan.folder + "/run.env");
  EXPECT_EQ(plan.command(2, "13").back(), plan.folder + "/last.env");
  EXPECT_THAT(file_of(plan, "run.env"), HasSubstr("CARAVAN_CHAIN='yes'"));
  EXPECT_THAT(file_of(plan, "last.env"), HasSubstr("CARAVAN_CHAIN='no'"));
}

TEST_F(Submit, WhatCannotRunIsRefusedBeforeAnythingIsWritten) {
  const auto refusal = [&](auto change) {
    SubmitRequest request = request_;
    change(request);
    return message_of([&] { plan_submission(request, site("tasks_per_node: 2\n")); });
  };
  EXPECT_THAT(refusal([](auto& r) { r.overrides.push_back("train.lrr=1"); }), HasSubstr("unknown key 'lrr'"));
  EXPECT_THAT(refusal([](auto& r) { r.sweep = {"train.lrr=1,2"}; }), HasSubstr("unknown key 'lrr'"));
  EXPECT_THAT(refusal([](auto& r) { r.overrides.push_back("model.dimm=3"); }),
              HasSubstr("unknown key 'dimm'"));
  EXPECT_THAT(refusal([](auto& r) { r.sweep = {"parallel.schedule=gpipe,1fb1"}; }), HasSubstr("1fb1"));
  EXPECT_THAT(refusal([](auto& r) { r.overrides.push_back("parallel.pipeline=3"); }),
              HasSubstr("on 2 ranks"));
  EXPECT_THAT(refusal([](auto& r) { r.overrides.push_back("name=a b"); }), HasSubstr("name: 'a b'"));
  EXPECT_THAT(refusal([](auto& r) { r.overrides.push_back("output='a\\b'"); }),
              HasSubstr("a backslash turns off"));
  EXPECT_THAT(refusal([](auto& r) { r.time = "00:01:30"; }), HasSubstr("asked to leave 120 s before it"));
  EXPECT_THAT(refusal([](auto& r) { r.after = "12;rm"; }), HasSubstr("--after '12;rm'"));
  EXPECT_THAT(refusal([](auto& r) { r.exclude = {"n1 n2"}; }), HasSubstr("--exclude: 'n1 n2'"));
  EXPECT_FALSE(std::filesystem::exists(folder_.file("run")));
}

TEST_F(Submit, APercentInAPathIsNoFieldOfSlurm) {
  request_.overrides = {"output=" + folder_.file("50%j")};

  EXPECT_THAT(plan_submission(request_, site("")).command(0, ""),
              Contains(HasSubstr("--output=" + folder_.file("50%%j"))));
}

TEST(TimeLimit, SlurmsFormsAndNothingElse) {
  const std::vector<std::pair<std::string, std::int64_t>> good{{"90", 5400},       {"1:30", 90},
                                                               {"01:00:00", 3600}, {"2-0", 172800},
                                                               {"1-01:30", 91800}, {"1-0:0:1", 86401}};
  for (const auto& [text, seconds] : good) EXPECT_EQ(parse_time_limit("--time", text), seconds) << text;
  for (const char* text :
       {"", "0", "-1", "1:2:3:4", "1-", "-5:00", "1h", "1:-2", "1 0", "9999999", "1-2-3", "::"})
    EXPECT_THAT(message_of([&] { parse_time_limit("--time", text); }), HasSubstr("is no time limit")) << text;
}

TEST(Sweep, CombinesListsAndKeepsCommasWithinValues) {
  EXPECT_THAT(expand_sweep({}), ElementsAre(ElementsAre()));
  EXPECT_THAT(expand_sweep({"a=1,2", "b=[1,2],{x: 1,y: 2},'p,q'"}),
              ElementsAre(ElementsAre("a=1", "b=[1,2]"), ElementsAre("a=1", "b={x: 1,y: 2}"),
                          ElementsAre("a=1", "b='p,q'"), ElementsAre("a=2", "b=[1,2]"),
                          ElementsAre("a=2", "b={x: 1,y: 2}"), ElementsAre("a=2", "b='p,q'")));
  for (const char* list : {"a", "=1", "a="})
    EXPECT_THAT(message_of([&] { expand_sweep({list}); }), HasSubstr("--array"));
  const std::string hundred = "a=1" + [] {
    std::string text;
    for (int i = 0; i < 99; ++i) text += ",1";
    return text;
  }();
  EXPECT_THAT(message_of([&] { expand_sweep({hundred, hundred}); }), HasSubstr("10000 tasks (at most 1000)"));
}

TEST(FailingNodes, AreThoseWithManyLinesThatNameOne) {
  const test::TemporaryFolder folder;
  EXPECT_TRUE(failing_nodes(folder.path(), 1).empty());
  test::spill(folder.file("failed-nodes.txt"),
              "t n2 killed\nt n1 x\nt n2\n\nt -o x\nt -o x\nt $(x) y\nt n2 again\nt");

  EXPECT_THAT(failing_nodes(folder.path(), 3), ElementsAre("n2"));
  EXPECT_THAT(failing_nodes(folder.path(), 1), ElementsAre("n1", "n2"));
}

}  // namespace
}  // namespace caravan::jobs
