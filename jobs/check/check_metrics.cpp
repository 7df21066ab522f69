#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <string>

#include "caravan/check.hpp"
#include "caravan/host.hpp"
#include "caravan/metrics.hpp"
#include "io/files/pending_file.hpp"
#include "jobs/check/check_component.hpp"

namespace caravan::jobs {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kLastStep = 40;

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

  /// Bytes of each file.
  std::map<std::string, std::uintmax_t> files() const {
    std::map<std::string, std::uintmax_t> sizes;
    for (const auto& entry : fs::recursive_directory_iterator(path_))
      if (entry.is_regular_file()) sizes[entry.path().lexically_relative(path_).string()] = entry.file_size();
    return sizes;
  }
  std::uintmax_t bytes() const {
    std::uintmax_t sum = 0;
    for (const auto& [name, size] : files()) sum += size;
    return sum;
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
    const Sizes half_way = folder_.files();
    const std::uintmax_t half = folder_.bytes();
    findings_.add(half > 0, "records are in the run's folder",
                  "no byte was written there, where alone sinks write");
    claim("the next start goes on, with another instance", [&] {
      metrics_ = make();
      write(*open(kLastStep / 2 + 1), kLastStep / 2 + 1, kLastStep);
    });
    findings_.add(folder_.bytes() >= half, "what earlier starts wrote of earlier steps stays",
                  fmt::format("{} bytes have become {}", half, folder_.bytes()));
    const Sizes whole = folder_.files();
    claim("steps that are done again are written again",
          [&] { write(*open(kLastStep / 2 + 1), kLastStep / 2 + 1, kLastStep); });
    check_once(half_way, whole);
    check_folder();
  }

 private:
  using Sizes = std::map<std::string, std::uintmax_t>;

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

  /// Files that these steps had made longer are so again, unless what is done again went out of the way.
  void check_once(const Sizes& half_way, const Sizes& whole) {
    std::string twice;
    for (const auto& [name, size] : folder_.files()) {
      const auto before = whole.find(name), first = half_way.find(name);
      if (before == whole.end() || size <= before->second) continue;
      const std::uintmax_t taken =
          before->second - (first == half_way.end() ? 0 : std::min(first->second, before->second));
      if (2 * (size - before->second) > taken)
        twice = fmt::format("{} has grown by {} bytes (the same steps took {} the first time)", name,
                            size - before->second, taken);
    }
    findings_.add(twice.empty(), "a file holds steps that are done again once", twice);
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
