#include "tests/jobs/job_test.hpp"

#include <cmath>
#include <cstdlib>
#include <limits>

#include <filesystem>
#include "tests/text/reference.hpp"

namespace caravan::test {

const char* const kMiniJob = R"(name: mini
device: host
seed: 5
model: {vocab_size: 64, dim: 32, layers: 2, heads: 2, width_multiple_of: 32, experts: 4, moe_step: 2}
data: {source: synthetic, vocab_size: 64}
train: {steps: 6, sequence_length: 16, local_batch_size: 1, global_batch_size: 4, lr: 1e-3, warmup_steps: 2, log_every: 1}
checkpoint: {every: 2}
)";

void JobTest::SetUp() {
  if (!std::getenv("CARAVAN_BINARY")) GTEST_SKIP() << "no CARAVAN_BINARY";
}

std::string JobTest::job(const std::string& yaml, const std::string& name) const {
  spill(file(name), yaml);
  return file(name);
}

Command JobTest::train(const std::string& job_file, const std::string& run, int ranks,
                       const std::vector<std::string>& overrides) const {
  Command command{{"train", job_file, "output=" + file(run)}, ranks, {}, 60};
  command.arguments.insert(command.arguments.end(), overrides.begin(), overrides.end());
  return command;
}

std::vector<nlohmann::json> read_metrics(const std::string& run) {
  return read_json_lines(run + "/metrics.jsonl");
}

std::vector<double> series(const std::vector<nlohmann::json>& metrics, const std::string& key) {
  std::vector<double> values;
  for (const auto& step : metrics) {
    const auto found = step.find(key);
    const bool number = found != step.end() && found->is_number();
    values.push_back(number ? found->get<double>() : std::numeric_limits<double>::quiet_NaN());
  }
  return values;
}

double largest_relative_difference(const std::vector<double>& a, const std::vector<double>& b) {
  if (a.size() != b.size()) return std::numeric_limits<double>::infinity();
  double largest = 0;
  for (std::size_t i = 0; i < b.size(); ++i) {
    if (!std::isfinite(a[i]) || !std::isfinite(b[i])) return std::numeric_limits<double>::infinity();
    if (a[i] != b[i]) largest = std::max(largest, std::abs(a[i] - b[i]) / std::abs(b[i]));
  }
  return largest;
}

double norm_of_difference(const std::vector<float>& a, const std::vector<float>& b) {
  if (a.size() != b.size()) return std::numeric_limits<double>::infinity();
  double difference = 0, size = 0;
  for (std::size_t i = 0; i < b.size(); ++i) {
    difference += std::pow(static_cast<double>(a[i]) - b[i], 2);
    size += static_cast<double>(b[i]) * b[i];
  }
  return std::sqrt(difference / size);
}

::testing::AssertionResult ended_with(const Outcome& outcome, int code) {
  if (outcome.code == code && !outcome.timed_out) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << "code " << outcome.code << ", signal " << outcome.signal
                                       << (outcome.timed_out ? ", timed out" : "") << " after "
                                       << outcome.seconds << " s instead of code " << code << "\n"
                                       << outcome.out << outcome.err;
}

bool has_gpu() {
  return std::filesystem::exists("/dev/nvidiactl");
}

}  // namespace caravan::test
