#include <gmock/gmock.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>

#include "jobs/command_numbers.hpp"
#include "jobs/job/job.hpp"
#include "jobs/setup/finite.hpp"
#include "jobs/setup/host_memory.hpp"
#include "jobs/setup/machine.hpp"
#include "jobs/setup/model_instance.hpp"
#include "tests/io/temporary_folder.hpp"
#include "tests/support/message_of.hpp"
#include "tests/support/plugin_dir.hpp"

// Numbers of job files and of the command line: one reader, and nothing is cut, wrapped around or taken too
// large.
namespace caravan::jobs {
namespace {

using caravan::testing::message_of;
using ::testing::HasSubstr;

/// What no integer is, in jobs and on the command line alike.
const char* const kNoIntegers[] = {"010",
                                   "0x3",
                                   "0b1",
                                   "+1",
                                   "1_000",
                                   "1e3",
                                   "3.0",
                                   "18446744073709551616",
                                   "nan",
                                   "inf",
                                   "1 ",
                                   "--1",
                                   "9223372036854775808",
                                   "-9223372036854775809",
                                   "true"};
/// What no number is.
const char* const kNoNumbers[] = {"nan",  "NaN",   ".nan",   "inf",   "-inf", "Infinity",
                                  ".inf", "1e999", "-1e999", "0x1p3", "0x10", "010.5",
                                  "+1",   "1_0",   "1,5",    "1f",    "1e",   "one"};

/// An application with one option of each kind, as a verb declares it.
struct Line {
  std::int64_t count = 7;
  double share = 0.5;
  std::vector<std::int32_t> ids;
  /// The message of the refusal; "" when `arguments` are taken.
  std::string given(std::vector<std::string> arguments) {
    CLI::App app;
    add_integer(app, "--count", count, "[1, 100]", "how many");
    add_number(app, "--share", share, "[0, 1]", "how much");
    add_integers(app, "ids", ids, kTokenIds, "tokens");
    std::reverse(arguments.begin(), arguments.end());
    return message_of<ConfigError>([&] { app.parse(arguments); });
  }
};

TEST(CommandNumbers, AreReadAsInJobFiles) {
  for (const std::string text : kNoIntegers) {
    Line line;
    EXPECT_THAT(line.given({"--count=" + text}), HasSubstr("command line: --count='" + text + "' (must"));
    Config job = Config::parse("", "job.yaml");
    job.set("count", Config::scalar(text));
    EXPECT_THAT(message_of<ConfigError>([&] { job.get_int("count"); }),
                HasSubstr("count='" + text + "' (must"));
  }
  for (const std::string text : kNoNumbers) {
    Line line;
    EXPECT_THAT(line.given({"--share=" + text}), HasSubstr("command line: --share='" + text + "' (must"));
    Config job = Config::parse("", "job.yaml");
    job.set("share", Config::scalar(text));
    EXPECT_THAT(message_of<ConfigError>([&] { job.get_float("share"); }),
                HasSubstr("share='" + text + "' (must"));
  }
}

TEST(CommandNumbers, OutsideTheirRangeAreRefusedInTheWordsOfJobs) {
  Line line;
  EXPECT_EQ(line.given({"--count", "-1"}), "command line: --count=-1 (must be in [1, 100])");
  EXPECT_EQ(line.given({"--count", "101"}), "command line: --count=101 (must be in [1, 100])");
  EXPECT_EQ(line.given({"--share", "-0.5"}), "command line: --share=-0.5 (must be in [0, 1])");
  EXPECT_EQ(line.given({"4294967297"}), "command line: ids=4294967297 (must be in [0, 2147483646])");
}

TEST(CommandNumbers, WithinTheirRangeAreTaken) {
  Line line;
  EXPECT_EQ(line.given({"--count", "100", "--share", "1e-3", "5", "0", "2147483646"}), "");
  EXPECT_EQ(line.count, 100);
  EXPECT_EQ(line.share, 1e-3);
  EXPECT_THAT(line.ids, ::testing::ElementsAre(5, 0, 2147483646));
}

TEST(CommandNumbers, TokenIdsInOneTextAreReadAlike) {
  EXPECT_THAT(read_token_ids("--prompt-ids", " 1  20\t3\n", ""), ::testing::ElementsAre(1, 20, 3));
  EXPECT_THAT(read_token_ids("id", "[1, 2]", ",[]"), ::testing::ElementsAre(1, 2));
  for (const char* text : {"010", "0x3", "-1", "4294967297", "1.0", "+1", "1,2"})
    EXPECT_THAT(
        message_of<ConfigError>([&] { read_token_ids("--prompt-ids", std::string("7 ") + text, ""); }),
        HasSubstr("command line: --prompt-ids="))
        << text;
}

constexpr const char* kJob = R"(name: mini
model: {vocab_size: 64, dim: 32, layers: 2, heads: 2}
data: {source: synthetic, vocab_size: 64}
train: {steps: 6, sequence_length: 16}
)";

/// A key, values that are refused, and in what words.
struct Refused {
  const char* key;
  std::vector<const char*> values;
  const char* words;
};

TEST(JobNumbers, OutsideTheRangeOfTheirKeyAreRefused) {
  test::TemporaryFolder folder;
  test::spill(folder.file("job.yaml"), kJob);
  const std::vector<Refused> cases{
      {"seed", {"-1"}, "(must be >= 0)"},
      {"train.steps", {"0", "-1", "1000000000001"}, "(must be in [1, 1e12])"},
      {"train.sequence_length", {"0", "-1", "16777217", "4294967297"}, "(must be in [1, 16777216])"},
      {"train.local_batch_size", {"0", "-1", "1048577", "4294967297"}, "(must be in [1, 1048576])"},
      {"train.global_batch_size", {"-2", "1073741825"}, "(must be in [-1, 1073741824])"},
      {"train.warmup_steps", {"-1", "9000000000000000000"}, "(must be in [0, 1e12])"},
      {"train.schedule_steps", {"0", "9000000000000000000"}, "(must be in [1, 1e12])"},
      {"train.lr", {"0", "-1", "1e39"}, "(must be"},
      {"parallel.data_replicate", {"-2", "4294967297"}, "(must be in [-1, 1048576])"},
      {"parallel.data_shard", {"4294967297"}, "(must be in [-1, 1048576])"},
      {"parallel.context", {"-1", "4294967297"}, "(must be in [1, 1048576])"},
      {"parallel.tensor", {"-1", "4294967297"}, "(must be in [1, 1048576])"},
      {"parallel.pipeline", {"-1", "4294967297"}, "(must be in [1, 65536])"},
      {"parallel.microbatches", {"-2", "4294967297"}, "(must be in [-1, 1048575])"},
      {"parallel.stages_per_rank", {"-2", "4294967297"}, "(must be in [-1, 1048576])"},
      {"parallel.first_stage_less", {"-1", "4294967296"}, "(must be in [0, 1000])"},
      {"parallel.layers_of_stages", {"[1, -1]", "[4294967297]"}, "(must be in [0, 1000])"},
      {"validation.batches", {"-2", "4294967297"}, "(must be in [-1, 1e9])"},
      {"watchdog.timeout", {"-1", "1e7"}, "(must be in [0, 1e6])"}};
  for (const auto& [key, values, words] : cases) {
    for (const char* value : values) {
      const std::string change = std::string(key) + "=" + value;
      EXPECT_THAT(message_of<ConfigError>([&] { load_job(folder.file("job.yaml"), {change}); }),
                  ::testing::AllOf(HasSubstr(std::string("command line: ") + key), HasSubstr(words)))
          << change;
    }
  }
}

class ModelNumbers : public ::testing::Test {
 protected:
  ModelNumbers() { ::setenv("CARAVAN_PLUGIN_PATH", test::plugin_dir().c_str(), 1); }
  /// What a model of kJob with these keys says; "" when it can be made. Nothing is allocated.
  static std::string refusal(const std::vector<std::string>& changes) {
    Config tree = Config::parse(kJob, "job.yaml");
    for (const std::string& change : changes) tree.override_with("model." + change);
    const auto registry = make_registry();
    return message_of<ConfigError>(
        [&] { ModelInstance(*registry, {}, "llama4", resolve_job(tree).model, 16).stage(); });
  }
};

TEST_F(ModelNumbers, TooLargeAreRefusedUnderTheirKeyAtOnce) {
  const auto start = std::chrono::steady_clock::now();
  const std::vector<std::pair<std::string, std::string>> cases{
      {"layers=10000", "layers=10000 (must be in [1, 1000])"},
      {"layers=-1", "layers=-1 (must be in [1, 1000])"},
      {"dim=1000000000", "dim=1000000000 (must be in [1, 262144])"},
      {"dim=9223372036854775807", "dim=9223372036854775807 (must be in "},
      {"vocab_size=2147483648", "vocab_size=2147483648 (must be in [1, 16777216])"},
      {"heads=4294967297", "heads=4294967297 (must be in [1, 65536])"},
      {"kv_heads=4294967297", "kv_heads=4294967297 (must be in [1, 65536])"},
      {"head_dim=4294967298", "head_dim=4294967298 (must be in [2, 65536])"},
      {"experts=1000000000", "experts=1000000000 (must be in [0, 65536])"},
      {"top_k=4294967297", "top_k=4294967297 (must be in [1, 65536])"},
      {"dense_width=1000000000000", "dense_width=1000000000000 (must be in [1, 16777216])"},
      {"width_multiplier=1e30", "width_multiplier=1e30 (must be in (0, 1000])"},
      {"chunk_size=4294967297", "chunk_size=4294967297 (must be in [0, 16777216])"},
      {"norm_eps=1e-60", "norm_eps=1e-60 (must be 0 or between"},
      {"init_std=1e300", "init_std=1e300 (must be 0 or between"},
      {"rope_scaling={factor: 0, low: 1, high: 4, original: 64}", "rope_scaling.factor=0 (must be > 0)"},
      {"rope_scaling={factor: nan, low: 1, high: 4, original: 64}", "rope_scaling.factor='nan' (must be"}};
  for (const auto& [change, words] : cases) EXPECT_THAT(refusal({change}), HasSubstr(words)) << change;
  EXPECT_THAT(refusal({"nope_interval=1", "temperature={scale: 0.1, floor: 0}"}),
              HasSubstr("temperature.floor=0 (must be > 0)"));
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
  EXPECT_LT(taken.count(), 30) << "of " << cases.size() << " refusals";
}

TEST_F(ModelNumbers, WhoseProductIsTooLargeAreNamedTogether) {
  EXPECT_THAT(
      refusal({"experts=65536", "expert_width=16777216"}),
      HasSubstr("experts=65536 x expert_width=16777216 x dim=32 (at most 4398046511104 elements of one "
                "parameter)"));
  EXPECT_THAT(refusal({"heads=65536", "head_dim=65536", "dim=262144"}),
              HasSubstr("heads=65536 x head_dim=65536 x dim=262144 (at most"));
  EXPECT_THAT(refusal({"experts=4", "shared_experts=65536", "expert_width=65536"}),
              HasSubstr("shared_experts=65536 x expert_width=65536 (at most 16777216"));
}

TEST_F(ModelNumbers, OfLargeReleasedModelsAreTaken) {
  EXPECT_EQ(refusal({"dim=16384", "layers=126", "heads=128", "vocab_size=262144", "dense_width=53248"}), "");
  EXPECT_EQ(refusal({"preset=maverick", "dim=5120", "layers=48", "heads=40", "vocab_size=202048"}), "");
}

TEST(Finite, TheFirstThatIsNotIsFoundAndAllAreCounted) {
  const float nan = std::nanf(""), inf = INFINITY;
  EXPECT_FALSE(find_not_finite(std::vector<float>{0, -1, 3e38f}));
  const std::vector<float> bad{0, inf, 1, nan, -inf};
  const auto found = find_not_finite(bad);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->count, 3u);
  EXPECT_EQ(found->first, 1u);
  EXPECT_EQ(name_of(*found), "infinity");
  EXPECT_EQ(name_of(*find_not_finite(std::vector<float>{nan})), "NaN");
}

TEST(HostMemory, IsKnownAndSmallerThanEightEiB) {
  const auto memory = host_memory();
  ASSERT_TRUE(memory) << "the system says nothing in /proc/meminfo";
  EXPECT_GT(memory->total, std::size_t{1} << 26);
  EXPECT_LE(memory->available, memory->total);
  const auto device = choose_device(*make_registry(), "reference");
  EXPECT_NO_THROW(check_room(*device, memory->total / 2, "a test", ""));
  EXPECT_THAT(message_of<DeviceError>([&] { check_room(*device, memory->total + 1, "a test", "Less?"); }),
              ::testing::AllOf(HasSubstr("a test needs "), HasSubstr("Less?")));
}

}  // namespace
}  // namespace caravan::jobs
