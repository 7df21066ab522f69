#include "tests/jobs/submit_fixture.hpp"

namespace caravan::jobs {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

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

TEST_F(Submit, WhatTrainWouldRefuseOnSoManyRanksIsRefused) {
  const auto refusal = [&](const std::vector<std::string>& overrides, const std::string& more = "") {
    SubmitRequest request = request_;
    request.overrides.insert(request.overrides.end(), overrides.begin(), overrides.end());
    return message_of([&] { plan_submission(request, site("tasks_per_node: 4\n" + more)); });
  };
  const std::string text = folder_.file("text.txt"), nowhere = folder_.file("nowhere");
  test::spill(text, "some text\n");
  EXPECT_EQ(refusal({}), "");
  EXPECT_THAT(refusal({"train.global_batch_size=6"}),
              HasSubstr("must be a multiple of local_batch_size=1 x 4 data"));
  EXPECT_THAT(refusal({"parallel.microbatches=3", "train.global_batch_size=4"}), HasSubstr("Leave one out?"));
  EXPECT_EQ(refusal({"parallel.context=4", "train.sequence_length=8"}), "");
  EXPECT_THAT(refusal({"parallel.context=4", "train.sequence_length=7"}),
              HasSubstr("sequences of 7 tokens on 4 context ranks"));
  EXPECT_EQ(refusal({"parallel.data_shard=4"}), "");
  EXPECT_THAT(refusal({"parallel.data_shard=3"}), HasSubstr("4 ranks"));
  EXPECT_THAT(refusal({"parallel.reshard=always"}), HasSubstr("data_shard=1 (no parameter is sharded)"));
  EXPECT_THAT(refusal({"parallel.data_shard=2", "parallel.pipeline=2", "parallel.schedule=dualpipev",
                       "parallel.microbatches=4", "parallel.reshard=always"}),
              HasSubstr("reshard=always with parallel.schedule=dualpipev (it runs a forward between"));
  EXPECT_THAT(refusal({"parallel.pipeline=4"}),
              HasSubstr("microbatches=1 (1f1b with 4 ranks needs at least 4)"));
  EXPECT_THAT(refusal({"parallel.pipeline=4", "parallel.schedule=zbv", "parallel.microbatches=8"}),
              HasSubstr("8 stages"));
  EXPECT_THAT(refusal({"model.heads=3"}), HasSubstr("heads"));
  EXPECT_THAT(refusal({"model.vocab_size=32"}), HasSubstr("the data has token ids up to 63"));
#ifdef CARAVAN_HAVE_HOST_DEVICE
  EXPECT_THAT(refusal({"device=host", "train.precision=bf16"}), HasSubstr("it computes in fp32 only"));
#endif
  EXPECT_THAT(refusal({"train.recompute={selective: [atention]}"}), HasSubstr("Did you mean 'attention'?"));
  EXPECT_THAT(refusal({"train.recompute={budget: 8}"}), HasSubstr("train.recompute.budget=8 is"));
  EXPECT_THAT(refusal({"data={source: tokens, path: " + nowhere + "}"}), HasSubstr("nowhere"));
  EXPECT_THAT(refusal({"data={source: text, path: [" + text + "], tokenizer: " + nowhere + "}"}),
              HasSubstr("nowhere"));
  EXPECT_THAT(refusal({"validation={batches: 1, data: {source: tokens, path: " + nowhere + "}}"}),
              HasSubstr("nowhere"));
  EXPECT_THAT(refusal({"checkpoint.initial_load=" + nowhere}), HasSubstr("nowhere"));
  EXPECT_THAT(refusal({"device=host"}, "environment: {CARAVAN_PLUGIN_PATH: none}\n"), HasSubstr("none"))
      << "the plugins that the ranks would find";
  EXPECT_EQ(refusal({}), "") << "and only they";
}

TEST_F(Submit, OfAnArrayTheTaskThatIsRefusedIsNamed) {
  request_.sweep = {"train.global_batch_size=2,3"};
  std::string text;
  try {
    plan_submission(request_, site("tasks_per_node: 2\n"));
  } catch (const Error& error) {
    text = error.what();
  }
  EXPECT_THAT(text, HasSubstr("train.global_batch_size=3"));
  EXPECT_THAT(text, HasSubstr("in task 1 of the array"));
}

TEST_F(Submit, CheckpointsInTheOutputMustBeTheJobs) {
  const std::string step = folder_.file("run/checkpoints/step-00000004");
  std::filesystem::create_directories(step);
  test::spill(step + "/manifest.json", "{}");
  const auto refusal = [&](const std::string& override) {
    SubmitRequest request = request_;
    request.overrides.push_back(override);
    return message_of([&] { plan_submission(request, site("")); });
  };
  EXPECT_THAT(refusal("checkpoint.resume=false"), HasSubstr("two runs would mix"));
  EXPECT_THAT(refusal("checkpoint.resume=true"), HasSubstr("can be read: "));
}

TEST_F(Submit, WhatIsOnTheNodesAloneIsNotLookedForHere) {
  request_.overrides.push_back("data={source: text, path: [/nowhere.txt], tokenizer: /nowhere.json}");
  const std::string container = "tasks_per_node: 2\ncontainer: {kind: pyxis, image: x}\n";
  SubmitRequest layout_alone = request_;
  layout_alone.check = CheckScope::layout;
  for (const Submission& plan : {plan_submission(request_, site(container)),
                                 plan_submission(layout_alone, site("tasks_per_node: 2\n"))})
    EXPECT_THAT(plan.notes, Contains(HasSubstr("only ranks and batch are checked")));

  request_.overrides.push_back("train.global_batch_size=3");
  EXPECT_THAT(message_of([&] { plan_submission(request_, site(container)); }),
              HasSubstr("must be a multiple"));
}

TEST_F(Submit, ADeviceThatIsNotOfThisMachineIsStoodInFor) {
  ::setenv("CARAVAN_PLUGIN_PATH", (std::string(CARAVAN_ABSENT_PLUGINS) + ":" + test::plugin_dir()).c_str(),
           1);
  const auto refusal = [&](const std::vector<std::string>& overrides) {
    SubmitRequest request = request_;
    request.overrides.insert(request.overrides.end(), overrides.begin(), overrides.end());
    return message_of([&] { plan_submission(request, site("gpus_per_node: 2\n")); });
  };
  EXPECT_EQ(refusal({"device=absent", "train.precision=bf16"}), "");
  EXPECT_EQ(refusal({"device=absent", "train.recompute={budget: 0.9}"}), "");
  EXPECT_THAT(refusal({"device=absent", "device_options={colour: red}"}), HasSubstr("unknown key 'colour'"));
  EXPECT_THAT(refusal({"device=absent", "train.global_batch_size=3"}), HasSubstr("must be a multiple"));
  EXPECT_THAT(refusal({"device=absinth"}), HasSubstr("Did you mean 'absent'?"));
  EXPECT_THAT(refusal({"device_options={deterministic: true}"}),
              HasSubstr("device_options with device: auto"));
}

}  // namespace
}  // namespace caravan::jobs
