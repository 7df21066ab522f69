#include "tests/inspect/sparse_checkpoint.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <chrono>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "caravan/error.hpp"
#include "jobs/job/job.hpp"
#include "jobs/setup/model_instance.hpp"
#include "jobs/state/state_tensors.hpp"
#include "tests/io/temporary_folder.hpp"
#include "tests/support/plugin_dir.hpp"

namespace caravan::test {
namespace {

using nlohmann::json;

/// What a run of `caravan inspect` cost.
struct Cost {
  int code = -1;
  double seconds = 0;
  std::int64_t peak_bytes = 0;
  std::string out;
};

Cost inspect(std::vector<std::string> words, const std::string& output) {
  words.insert(words.begin(), {std::getenv("CARAVAN_BINARY"), "inspect"});
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, 1, output.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  const auto start = std::chrono::steady_clock::now();
  pid_t child = -1;
  EXPECT_EQ(::posix_spawn(&child, arguments[0], &files, nullptr, arguments.data(), environ), 0);
  posix_spawn_file_actions_destroy(&files);
  int status = 0;
  rusage usage{};
  ::wait4(child, &status, 0, &usage);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, took.count(), usage.ru_maxrss * 1024, slurp(output)};
}

class Sparse : public ::testing::Test {
 protected:
  static constexpr std::int64_t kMostBytes = 200'000'000;

  void SetUp() override {
    if (!std::getenv("CARAVAN_BINARY")) GTEST_SKIP() << "CARAVAN_BINARY is not set";
  }
  std::string write(const std::vector<io::TensorRecord>& tensors, const std::string& job = "seed: 1\n") {
    try {
      return write_sparse_checkpoint(folder_.path(), tensors, job);
    } catch (const IoError& error) {
      ADD_FAILURE() << error.what();
      return "";
    }
  }
  Cost inspect(const std::vector<std::string>& words) const {
    return test::inspect(words, folder_.file("output"));
  }
  TemporaryFolder folder_;
};

/// 23.1 GB: experts of six layers in f32, and one tensor in bf16.
std::vector<io::TensorRecord> twenty_gigabytes() {
  std::vector<io::TensorRecord> tensors;
  for (int layer = 0; layer < 6; ++layer) {
    const std::string name = "/model/layers." + std::to_string(layer) + ".moe.experts.w1";
    tensors.push_back({name, DType::f32, {16, 8192, 7168}});
  }
  tensors.push_back({"/model/output.weight", DType::bf16, {65536, 4096}});
  tensors.push_back({"/model/norm.weight", DType::f32, {5120}});
  return tensors;
}

TEST_F(Sparse, TwentyGigabytesShowTheirTreeInASecond) {
  const std::string path = write(twenty_gigabytes());
  for (const std::string& what : {path, folder_.path()}) {
    const Cost tree = inspect({what});
    EXPECT_EQ(tree.code, 0);
    EXPECT_THAT(tree.out, ::testing::HasSubstr("21.50 GiB"));
    EXPECT_LT(tree.seconds, 1);
    EXPECT_LT(tree.peak_bytes, kMostBytes);
    RecordProperty("tree_ms", static_cast<int>(tree.seconds * 1000));
  }
}

TEST_F(Sparse, LargeTensorsAreReadInMegabytes) {
  const std::string path = write(twenty_gigabytes());
  const Cost statistics = inspect({path, "--stats", "--tensors", "output.weight", "--json"});
  EXPECT_EQ(statistics.code, 0);
  EXPECT_EQ(json::parse(statistics.out)["tensors"][0]["zeros"], 65536 * std::int64_t{4096});
  EXPECT_LT(statistics.peak_bytes, kMostBytes);
  const Cost difference = inspect({"--diff", path, path, "--tensors", "output.weight"});
  EXPECT_EQ(difference.code, 0);
  EXPECT_LT(difference.peak_bytes, kMostBytes);
}

/// The tensors that a checkpoint of a preset would hold of its weights.
std::vector<io::TensorRecord> tensors_of(const std::string& preset) {
  const Config job = Config::parse("model: {preset: " + preset + "}");
  Registry registry({test::plugin_dir()});
  jobs::ModelInstance model(registry, {}, "llama4", jobs::resolve_model(job.at("model")), 2048);
  std::vector<io::TensorRecord> tensors;
  for (const jobs::StateTensor& tensor : jobs::state_tensors(model.parameters(), {}, {})) {
    for (const jobs::StatePart& part : jobs::parts_of(tensor, tensor.view))
      tensors.push_back({part.name, part.view.dtype, part.shape});
  }
  return tensors;
}

struct Preset {
  const char* name;
  std::int64_t total, dense, sparse, active;
};

class SparsePreset : public Sparse, public ::testing::WithParamInterface<Preset> {};
INSTANTIATE_TEST_SUITE_P(
    Presets, SparsePreset,
    ::testing::Values(Preset{"debugmodel", 15'017'216, 4'394'240, 10'622'976, 6'759'680},
                      Preset{"scout", 107'769'861'120, 5'089'367'040, 102'680'494'080, 17'172'894'720},
                      Preset{"maverick", 400'711'848'960, 11'129'164'800, 389'582'684'160, 17'184'691'200}),
    [](const auto& test) { return std::string(test.param.name); });

TEST_P(SparsePreset, HasItsParametersToTheDigit) {
  const Preset& preset = GetParam();
  const std::string path =
      write(tensors_of(preset.name), "model: {preset: " + std::string(preset.name) + "}\n");
  const Cost tree = inspect({path, "--json"});
  ASSERT_EQ(tree.code, 0);
  const json parameters = json::parse(tree.out)["parameters"];
  EXPECT_EQ(parameters["total"], preset.total);
  EXPECT_EQ(parameters["dense_in_all"], preset.dense);
  EXPECT_EQ(parameters["sparse_in_all"], preset.sparse);
  EXPECT_EQ(parameters["active"], preset.active);
  EXPECT_LT(tree.seconds, 1);
  EXPECT_LT(tree.peak_bytes, kMostBytes);
}

}  // namespace
}  // namespace caravan::test
