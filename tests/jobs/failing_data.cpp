#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <thread>

#include "caravan/check.hpp"
#include "caravan/data.hpp"
#include "caravan/plugin.hpp"
#include "tests/support/launched_rank.hpp"

namespace caravan::testing {

/// Data that breaks one rank on purpose: where and how the job says.
class Failing final : public DataSource {
 public:
  using Interface = DataSource;
  static constexpr const char* kName = "failing";
  static constexpr const char* kSummary = "Fails on purpose";
  static constexpr caravan_param kParams[] = {
      {"when", "create|read", nullptr, "", "",
       "In the constructor, or at the first sample from `sample` on."},
      {"how", "io|standard|number|kill|hang", nullptr, "", "",
       "What to throw; kill: SIGKILL; hang: never return."},
      {"rank", "int", "-1", "", ">= -1", "The rank that fails; -1: all."},
      {"sample", "int", "0", "", ">= 0", "The first sample that fails."},
      {"sequence_length", "int", nullptr, "tokens", "> 0", "The trainer fills it in."},
      {"seed", "int", "0", "", ">= 0", "Not used."},
  };

  Failing(const Host&, const Config& config)
      : how_(config.get_string("how")),
        fails_here_(is_rank(config.get_int("rank"))),
        first_(config.get_int("sample")),
        length_(config.get_int("sequence_length")) {
    if (config.get_string("when") == "create") fail();
  }
  std::int64_t sequence_length() const override { return length_; }
  std::int64_t samples() const override { return 0; }
  std::int64_t vocab_size() const override { return 2; }
  bool has_documents() const override { return false; }
  void read(std::int64_t index, const Sample& sample) override {
    if (index >= first_) fail();
    std::fill(sample.tokens.begin(), sample.tokens.end(), 1);
    std::fill(sample.labels.begin(), sample.labels.end(), 1);
  }

 private:
  static bool is_rank(std::int64_t rank) {
    const char* mine = test::launched_rank();
    return rank < 0 || (mine && std::to_string(rank) == mine);
  }
  void fail() const {
    if (!fails_here_) return;
    if (how_ == "kill") std::raise(SIGKILL);
    while (how_ == "hang") std::this_thread::sleep_for(std::chrono::hours(1));
    if (how_ == "io") throw IoError("the disk of this rank is gone");
    if (how_ == "standard") throw std::runtime_error("a plain exception");
    throw 42;
  }

  std::string how_;
  bool fails_here_;
  std::int64_t first_, length_;
};

}  // namespace caravan::testing

CARAVAN_PLUGIN("failing-data", "1.0.0", "Apache-2.0", "Fails on purpose",
               caravan::component<caravan::testing::Failing>());
