#include "jobs/identity/job_changes.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "caravan/error.hpp"
#include "jobs/job/resolve_components.hpp"
#include "tests/io/temporary_folder.hpp"

// Which keys of a job may differ from the checkpoint that a run goes on from.
namespace caravan::jobs {
namespace {

using ::testing::HasSubstr;

constexpr const char* kJob = R"(name: a
output: /runs/a
device: host
seed: 5
model: {plugin: llama4, heads: 2, norm_eps: 1e-5, rope_theta: 500000, top_k: 1, dropout: 0, noisy: false,
        load_balance_rate: 0.001, moe_layers: [1, 3], rope_scaling: {factor: 16, low: 1}, dispatch: local}
data: {source: text, path: [/a.txt], tokenizer: /t.json, shuffle: true, validation_fraction: 0.05, digest: "xxh3:1",
       tokens: 100, tokenizer_digest: "sha256:1"}
train: {steps: 10, sequence_length: 16, local_batch_size: 1, global_batch_size: 4, lr: 1e-3, decay: linear, max_norm: 1,
        recompute: none, precision: fp32, log_every: 1}
optimizer: {name: adamw, beta1: 0.9, weight_decay: 0.1, decay_norms: true}
validation: {every: 5, data: {path: /v.txt}}
checkpoint: {every: 2, allow_changes: null, initial_load: null, resume: true}
parallel: {data_replicate: -1, pipeline: 1, schedule: 1f1b, schedule_options: null}
metrics: {jsonl: true}
watchdog: {timeout: 1800}
)";

JobChanges changes(const std::string& assignment, const std::vector<std::string>& allowed = {}) {
  const Config before = Config::parse(kJob);
  Config now = before;
  now.override_with(assignment);
  return sort_changes(before, now, allowed);
}

std::string key_of(const std::string& assignment) {
  return assignment.substr(0, assignment.find('='));
}

class Refused : public ::testing::TestWithParam<const char*> {};

TEST_P(Refused, ChangesTheFunctionOrTheOrderAndIsAllowedByNameAlone) {
  const JobChanges found = changes(GetParam());
  ASSERT_EQ(found.refused.size(), 1u);
  EXPECT_EQ(found.refused[0].key, key_of(GetParam()));
  EXPECT_TRUE(found.said.empty() && found.allowed.empty());

  EXPECT_EQ(changes(GetParam(), {"validation.*", "name"}).refused.size(), 1u);
  const JobChanges allowed = changes(GetParam(), {key_of(GetParam())});
  EXPECT_TRUE(allowed.refused.empty());
  EXPECT_EQ(allowed.allowed.size(), 1u);
}

INSTANTIATE_TEST_SUITE_P(
    All, Refused,
    ::testing::Values("seed=6", "model.plugin=other", "model.heads=4", "model.norm_eps=1e-6",
                      "model.rope_theta=10000", "model.top_k=2", "model.dropout=0.1", "model.noisy=true",
                      "model.load_balance_rate=0.01", "model.capacity_factor=1.5", "model.moe_layers=[1]",
                      "model.rope_scaling.factor=8", "data.source=tokens", "data.path=[/b.txt]",
                      "data.shuffle=false", "data.validation_fraction=0.1", "data.separator=line",
                      "data.digest='xxh3:2'", "data.tokens=101", "data.tokenizer_digest='sha256:2'",
                      "data.seed=7", "train.sequence_length=32", "optimizer.name=sgd",
                      "optimizer.decay_norms=false", "optimizer.rule=nesterov"));

class Said : public ::testing::TestWithParam<const char*> {};

TEST_P(Said, MayChange) {
  const JobChanges found = changes(GetParam());
  ASSERT_EQ(found.said.size(), 1u);
  EXPECT_EQ(found.said[0].key, key_of(GetParam()));
  EXPECT_TRUE(found.refused.empty());
}

INSTANTIATE_TEST_SUITE_P(
    All, Said,
    ::testing::Values("name=b", "output=/runs/b", "device=reference", "model.dispatch=other",
                      "data.tokenizer=/u.json", "train.steps=20", "train.local_batch_size=2",
                      "train.global_batch_size=8", "train.lr=2e-3", "train.decay=cosine", "train.max_norm=0",
                      "train.recompute=full", "train.precision=bf16", "train.log_every=5",
                      "train.of_a_later_version=1", "optimizer.beta1=0.8", "optimizer.weight_decay=0",
                      "validation.every=2", "validation.data.path=/w.txt", "checkpoint.every=4",
                      "parallel.pipeline=2", "parallel.schedule=gpipe", "metrics.jsonl=false",
                      "watchdog.timeout=60", "later.section=1"));

TEST(JobChanges, ADispatcherMayChangeWithItsKeys) {
  Config plain = Config::parse(kJob), narrow = plain, wide = plain;
  narrow.override_with("model.dispatch={name: all_to_all, room: 2}");
  wide.override_with("model.dispatch={name: all_to_all, room: 4}");
  for (const auto& [before, now] : {std::pair(plain, narrow), {narrow, wide}, {wide, plain}}) {
    const JobChanges found = sort_changes(before, now, {});
    EXPECT_TRUE(found.refused.empty());
    EXPECT_FALSE(found.said.empty());
  }
}

TEST(JobChanges, SilentAreKeysOfThisStartAndOtherWaysToWriteAValue) {
  for (const char* same :
       {"checkpoint.allow_changes=[seed]", "checkpoint.initial_load=/w", "checkpoint.resume=false",
        "train.lr=0.001", "model.norm_eps=0.00001", "model.kv_heads=null", "data.bos=[]"}) {
    const JobChanges found = changes(same);
    EXPECT_TRUE(found.refused.empty() && found.said.empty() && found.allowed.empty()) << same;
  }
}

TEST(JobChanges, ATokenizersPathCountsWhereNoDigestTells) {
  Config before = Config::parse(kJob), data = before.at("data");
  data.erase("tokenizer_digest");
  before.set("data", data);
  Config now = before;
  now.override_with("data.tokenizer=/u.json");
  EXPECT_EQ(sort_changes(before, now, {}).refused.size(), 1u);
}

TEST(JobChanges, WholeNumbersAreComparedToTheLastDigit) {
  const Config one = Config::parse("{seed: 9007199254740992}"),
               other = Config::parse("{seed: 9007199254740993}");
  EXPECT_EQ(sort_changes(one, other, {}).refused.size(), 1u);
}

TEST(JobChanges, GlobsReachWholeSections) {
  EXPECT_EQ(changes("model.rope_scaling.factor=8", {"model.*"}).allowed.size(), 1u);
  EXPECT_EQ(changes("data.digest='xxh3:2'", {"*"}).allowed.size(), 1u);
}

TEST(JobChanges, AGlobThatFitsNoKeyIsRefusedWithTheNearest) {
  const Config job = Config::parse(kJob);
  EXPECT_NO_THROW(check_allowed({"seed", "model.*", "data.digest", "data.tokenizer_digest"}, job));
  EXPECT_THAT(
      test::message_of<ConfigError>([&] { check_allowed({"model.rope_teta"}, job); }),
      HasSubstr("checkpoint.allow_changes names 'model.rope_teta' (no key of the resolved job). Did you mean "
                "'model.rope_theta'?"));
}

TEST(ResolvedJob, PathsAreAbsoluteStandardInputStaysAndUnknownKeysAreKept) {
  static constexpr caravan_param kParams[] = {
      {"path", "path list", nullptr, "", "", "Files."},
      {"tokenizer", "path", "null", "", "", "A file."},
      {"format", "string", "auto", "", "", "No path."},
  };
  const std::string here = std::filesystem::current_path().string();
  const Config given =
      Config::parse("{path: [a/../b.txt, /c/, -, '@d/list', 'e/*.txt'], tokenizer: t.json, later: x}");
  EXPECT_EQ(with_absolute_paths(with_defaults(given, kParams), kParams),
            Config::parse("{path: [" + here + "/b.txt, /c, '-', '@" + here + "/d/list', '" + here +
                          "/e/*.txt'], tokenizer: " + here + "/t.json, format: auto, later: x}"));
}

TEST(JobChanges, TextsNameKeyAndBothValues) {
  EXPECT_EQ(changes_text(changes("model.moe_layers=[1]").refused), "model.moe_layers [1, 3] -> [1]");
  EXPECT_EQ(changes_text(changes("model.window=128").refused), "model.window (none) -> 128");
}

}  // namespace
}  // namespace caravan::jobs
