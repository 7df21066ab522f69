#include <fmt/format.h>

#include <cstdint>
#include <exception>
#include <filesystem>
#include <functional>
#include <limits>
#include <memory>
#include <string>

#include "caravan/check.hpp"
#include "caravan/host.hpp"
#include "caravan/metrics.hpp"
#include "caravan/open_file.hpp"
#include "io/files/pending_file.hpp"
#include "jobs/check/check_component.hpp"

namespace caravan::jobs {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kLastStep = 40;
constexpr std::uint64_t kMostBytes = 1 << 28;  // that a sink may write of them

/// A folder for the length of a check.
class CheckFolder {
 public:
  CheckFolder() : path_((fs::temp_directory_path() / ("caravan-check-" + io::random_suffix())).string()) {
    fs::create_directory(path_);
  }
  ~CheckFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  CheckFolder(const CheckFolder&) = delete;
  CheckFolder& operator=(const CheckFolder&) = delete;
  const std::string& path() const noexcept { return path_; }

  std::uintmax_t bytes() const {
    std::uintmax_t sum = 0;
    for (const auto& entry : fs::recursive_directory_iterator(path_))
      if (entry.is_regular_file()) sum += entry.file_size();
    return sum;
  }

  /// How often `text` stands in the files, but for those that a sink has put aside.
  std::size_t count(const std::string& text) const {
    std::size_t times = 0;
    for (const auto& entry : fs::recursive_directory_iterator(path_)) {
      if (!entry.is_regular_file() || entry.path().filename().string().find(".former") != std::string::npos)
        continue;
      const std::string all = read_file(entry.path().string(), kMostBytes);
      for (std::size_t at = all.find(text); at != std::string::npos; at = all.find(text, at + 1)) ++times;
    }
    return times;
  }

 private:
  std::string path_;
};

class MetricsCheck {
 public:
  MetricsCheck(Registry& registry, const std::string& name, const Config& keys, Findings& findings)
      : registry_(registry), name_(name), keys_(keys), findings_(findings), metrics_(make()) {}

  void run() {
    claim("a start that comes to no step opens and closes", [&] { open(1); });
    claim("records of any numbers, keys that come later and those that stay away, texts of any bytes",
          [&] { write(*open(1), 1, kLastStep / 2); });
    const std::uintmax_t half = folder_.bytes();
    findings_.add(half > 0, "records reach the run's folder", "nothing was written to it");
    claim("the next start goes on, with another instance", [&] {
      metrics_ = make();
      write(*open(kLastStep / 2 + 1), kLastStep / 2 + 1, kLastStep);
    });
    findings_.add(folder_.bytes() >= half, "what earlier starts wrote of earlier steps stays",
                  fmt::format("{} bytes have become {}", half, folder_.bytes()));
    claim("steps that are done again are written again",
          [&] { write(*open(kLastStep / 2), kLastStep / 2, kLastStep); });
    check_once();
    check_folder();
  }

 private:
  Made<Metrics> make() { return registry_.create<Metrics>(name_, Host::of(registry_), keys_); }

  std::unique_ptr<MetricSink> open(std::int64_t first_step) {
    auto sink = metrics_->open({.name = "check",
                                .folder = folder_.path(),
                                .job = "name: check\n",
                                .first_step = first_step,
                                .last_step = kLastStep});
    CARAVAN_CHECK(sink, PluginError, "open gave nothing");
    return sink;
  }

  static void write(MetricSink& sink, std::int64_t first, std::int64_t last) {
    using Limits = std::numeric_limits<double>;
    StepRecord record;
    for (std::int64_t step = first; step <= last; ++step) {
      record.clear();
      record.step = step;
      record.set(metric::kLoss, step % 3 == 0 ? Limits::quiet_NaN() : 1.0 / static_cast<double>(step));
      record.set(metric::kGradNorm, step % 2 == 0 ? Limits::infinity() : Limits::denorm_min());
      record.set("check_mark", mark_of(step));
      record.set(metric::kTokensSeen, std::numeric_limits<std::int64_t>::max() - step);
      if (step % 5 == 0) record.set(metric::kValidationLoss, -0.0);
      if (step > 7) record.set("layers.1.moe.tokens_per_expert/0", std::int64_t{0});
      sink.write(record);
      if (step % 5 == 0 && sink.takes_texts())
        sink.write_text({.step = step,
                         .name = "samples/0",
                         .prompt = "a \"prompt\",\n```",
                         .text = "\xff\u2028\ttext\r\n",
                         .tokens = 3,
                         .reason = "eos"});
    }
    sink.flush();
  }

  void claim(const char* what, const std::function<void()>& action) {
    std::string problem;
    try {
      action();
    } catch (const std::exception& error) {
      problem = error.what();
    }
    findings_.add(problem.empty(), what, problem);
  }

  /// A number that no other key has, by which a step is found in whatever text a sink makes.
  static std::int64_t mark_of(std::int64_t step) { return 7'654'000 + step; }

  /// The last step was done twice, the first one once.
  void check_once() {
    constexpr const char* kClaim = "a step that is done again stands there once";
    const std::size_t first = folder_.count(std::to_string(mark_of(1))),
                      last = folder_.count(std::to_string(mark_of(kLastStep)));
    if (first == 0 && last == 0) return findings_.leave_out(kClaim, "it writes no numbers as text");
    findings_.add(first == last, kClaim,
                  fmt::format("step {} is there {} times, step 1 {} times (files named *.former* are not "
                              "counted)",
                              kLastStep, last, first));
  }

  /// A folder that is none any more.
  void check_folder() {
    bool refused = false;
    const std::string file = folder_.path() + "/file";
    io::write_output(file, "x");
    try {
      metrics_->open({.name = "check", .folder = file, .job = "", .first_step = 1, .last_step = 1});
    } catch (const std::exception&) {
      refused = true;
    }
    if (refused)
      findings_.add(true, "a folder that it cannot write to is refused when it opens");
    else
      findings_.leave_out("a folder that it cannot write to is refused when it opens",
                          "it opened: it writes elsewhere, or later");
  }

  Registry& registry_;
  const std::string& name_;
  const Config& keys_;
  Findings& findings_;
  CheckFolder folder_;
  Made<Metrics> metrics_;
};

}  // namespace

void check_metrics(const CheckRequest& request, Findings& findings) {
  MetricsCheck(request.registry, request.name, request.keys, findings).run();
}

}  // namespace caravan::jobs
