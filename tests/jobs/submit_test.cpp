#include <fmt/format.h>

#include "caravan/schema.hpp"
#include "jobs/submit/allowed.hpp"
#include "jobs/submit/failing_nodes.hpp"
#include "jobs/submit/sbatch.hpp"
#include "jobs/submit/site_schema.hpp"
#include "jobs/submit/sweep.hpp"
#include "jobs/submit/time_limit.hpp"
#include "tests/jobs/submit_fixture.hpp"

namespace caravan::jobs {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

TEST_F(Submit, EverySiteThatIsInstalledCanBeRead) {
  check_schema(kSiteParams, "site file");
  check_schema(kContainerParams, "section container");
  check_schema(kMailParams, "section mail");
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
      {"time: 1:0:0\npartition: a b\n", "site.yaml:2: partition[0]: 'a b' (allowed: letters, digits and"},
      {"modules: [cuda, '-x']\n", "site.yaml:1: modules[1]: '-x' (allowed: "},
      {"environment: {SLURM_JOB_ID: 3}\n",
       "a variable of environment: 'SLURM_JOB_ID' (allowed: letters, digits and _, not a digit first, not "
       "SLURM_"},
      {"environment: {CARAVAN_RUN: /x}\n", "'CARAVAN_RUN'"},
      {"environment: {UID: 0}\n", "'UID'"},
      {"environment: {1X: 0}\n", "'1X'"},
      {"environment: {'': 0}\n", "''"},
      {"partition: [a, 'b c']\n", "partition[1]: 'b c'"},
      {"gres: 'gpu:h100:4:1'\n", "'gpu:h100:4:1' (allowed: name, name:count or name:type:count"},
      {"gres: 'gpu::4'\n", "'gpu::4'"},
      {"gres: gpu:h100:4\ngpus_per_node: 8\n",
       "site.yaml:1: gres=gpu:h100:4 and gpus_per_node=8 (two numbers of GPUs)"},
      {"sbatch_options: [-L a]\n", "'-L a' (allowed: --name or --name=value in one word"},
      {"sbatch_options: [script.sh]\n", "'script.sh'"},
      {"sbatch_options: ['--']\n", "'--'"},
      {"x: 1\n", "unknown key 'x'"},
      {"time: '10'\nsbatch_options: [--array=0-3]\n",
       "site.yaml:2: sbatch_options has '--array=0-3' (submit gives --array itself). Say it by --array?"},
      {"sbatch_options: [--wra=touch]\n", "submit gives --wrap itself"},
      {"sbatch_options: [--no-requeue]\n", "Say it by max_restarts: 0?"},
      {"srun_options: [--comment]\nlauncher: mpirun\n", "srun_options with launcher: mpirun"},
      {"mail: {address: a@b}\n", "type"},
      {"mail: {type: END, address: 'a@b;c'}\n", "'a@b;c'"},
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

TEST_F(Submit, WhatASiteSaysReachesSbatchAndTheScript) {
  const Submission plan = plan_submission(request_, site(R"(partition: [gpu, gpu-long]
gres: [gpu:h100:4, nvme:1]
sbatch_options: [--licenses=scratch, "--comment=a b"]
srun_options: [--hint=nomultithread]
mail: {type: [END, FAIL], address: me@example.org}
environment: {PATH: /opt/bin, LD_LIBRARY_PATH: "/a b", http_proxy: x, TMPDIR: /local}
setup: |
  module use /opt/modules
  ulimit -l unlimited
)"));

  const auto words = plan.command(0, "");
  for (const char* word :
       {"--partition=gpu,gpu-long", "--gres=gpu:h100:4,nvme:1", "--ntasks-per-node=4", "--licenses=scratch",
        "--comment=a b", "--mail-type=END,FAIL", "--mail-user=me@example.org"})
    EXPECT_THAT(words, Contains(word));
  EXPECT_THAT(words, Not(Contains(HasSubstr("--gpus-per-node"))));
  EXPECT_EQ(words[words.size() - 2], plan.folder + "/gpu.sbatch");
  EXPECT_THAT(file_of(plan, "setup.sh"), HasSubstr("\nmodule use /opt/modules\nulimit -l unlimited\n"));
  const std::string settings = file_of(plan, "run.env");
  for (const char* line : {"CARAVAN_SRUN_OPTIONS=( '--hint=nomultithread' )\n", "export PATH='/opt/bin'\n",
                           "export LD_LIBRARY_PATH='/a b'\n", "export http_proxy='x'\n"})
    EXPECT_THAT(settings, HasSubstr(line));
  EXPECT_THAT(
      plan_submission(request_, site("partition: 'a,b'\ngres: gpu:2\ngpus_per_node: 2\n")).command(0, ""),
      Contains("--partition=a,b"));
}

TEST_F(Submit, EveryKeyOfASiteIsExplained) {
  const std::string page = test::slurp((slurm_folder() / "../docs/slurm.md").string());
  const auto expect_explained = [&](ParamSchema schema) {
    for (const caravan_param& param : schema) EXPECT_THAT(page, HasSubstr(fmt::format("`{}`", param.name)));
  };
  expect_explained(kSiteParams);
  for (const ParamSchema schema : {ParamSchema(kContainerParams), ParamSchema(kMailParams)})
    for (const caravan_param& param : schema) EXPECT_THAT(page, HasSubstr(fmt::format("{}:", param.name)));
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
TEST_F(Submit, VariablesOfAnotherAllocationAreNotHandedOn) {
  const std::vector<std::string> foreign{"SLURM_JOB_ID", "SLURM_NTASKS", "SLURMD_NODENAME", "OMPI_MCA_btl",
                                         "PMIX_RANK",    "PMI_RANK",     "PMI2_SIZE",       "PRTE_MCA_x"};
  for (const std::string& name : foreign) ::setenv(name.c_str(), "1", 1);
  ::setenv("SLURM_CONF", "/etc/lab.conf", 1);
  ::setenv("SBATCH_ACCOUNT", "mine", 1);
  const std::string path = std::getenv("PATH");
  test::spill(folder_.file("sbatch"), "#!/bin/bash\nenv -0 > " + folder_.file("handed") + "\necho 4711\n");
  std::filesystem::permissions(folder_.file("sbatch"), std::filesystem::perms::owner_all);
  ::setenv("PATH", (folder_.path() + ":" + path).c_str(), 1);

  const Submission plan = plan_submission(request_, site(""));
  EXPECT_THAT(submit(plan), ElementsAre("4711"));

  ::setenv("PATH", path.c_str(), 1);
  for (const std::string& name : foreign) ::unsetenv(name.c_str());
  ::unsetenv("SLURM_CONF");
  ::unsetenv("SBATCH_ACCOUNT");
  const std::string handed = '\0' + test::slurp(folder_.file("handed"));
  for (const std::string& name : foreign)
    EXPECT_EQ(handed.find('\0' + name + '='), std::string::npos) << name;
  for (const char* kept : {"SLURM_CONF=/etc/lab.conf", "SBATCH_ACCOUNT=mine"})
    EXPECT_NE(handed.find('\0' + std::string(kept) + '\0'), std::string::npos) << kept;
  for (const std::string& name : foreign)
    EXPECT_THAT(plan.notes, Contains(::testing::AllOf(HasSubstr("not handed to the job"), HasSubstr(name))));
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
