#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "caravan/data.hpp"
#include "caravan/error.hpp"
#include "caravan/layer_blocks.hpp"
#include "caravan/metrics.hpp"
#include "caravan/optimizer.hpp"
#include "caravan/plugin.hpp"
#include "tests/support/launched_rank.hpp"

// Components with one mistake each, which their parameter `flaw` names: caravan plugins check has to find it.
namespace caravan::testing {
namespace {

/// Nothing in bf16, which needs no mistake more, and on paper.
void scale(const Run& run, const TensorView& view, float by) {
  if (view.dtype != DType::f32 || !run.device.computes()) return;
  std::for_each(view.as<float>(), view.as<float>() + view.count(), [by](float& value) { value *= by; });
}

/// y = RMSNorm(x)·weight, in host memory.
class FlawedLayer final : public Layer {
 public:
  using Interface = Layer;
  static constexpr const char* kName = "flawed";
  static constexpr const char* kSummary = "RMSNorm with a mistake";
  static constexpr caravan_param kParams[] = {
      {"name", "string", nullptr, "", "", "Prefix of the parameter names."},
      {"dim", "int", nullptr, "", ">= 1", "Width."},
      {"flaw", "none|input|weight|replaces|life|repeats|paper|fp32", "none", "", "", "What is wrong."},
  };

  FlawedLayer(const Host& host, const Config& config)
      : flaw_(config.get_string("flaw")),
        weight_(host.parameters->declare(ParameterSpec::whole(config.get_string("name") + ".flawed.weight",
                                                              {config.get_int("dim")}, ParameterKind::norm,
                                                              {Initial::Rule::ones}))),
        segment_(*this, "flawed",
                 {&FlawedLayer::forward, &FlawedLayer::backward_input, &FlawedLayer::backward_weight}),
        segments_{&segment_},
        parameters_{&weight_} {}

  const std::vector<Segment*>& segments() const override { return segments_; }
  const std::vector<Parameter*>& parameters() const override { return parameters_; }
  double forward_flops(const BatchShape&) const override { return 0; }
  void plan(const BatchShape& shape, StashPlan& plan) override {
    if (flaw_ == "fp32" && shape.compute != DType::f32)
      throw ConfigError("layer flawed computes in fp32 alone. train.precision=fp32?");
    rstd_ = plan.add("rstd", DType::f32, {shape.tokens()},
                     flaw_ == "life" ? Lifetime::forward : Lifetime::weight);
  }

 private:
  void forward(Run& run, Frame& frame) {
    run.ops.rmsnorm_forward({frame.x, weight_.weight, frame.y, frame[rstd_], 1e-5f});
    if (flaw_ == "paper") frame[rstd_].as<float>()[0] += 0;
    if (flaw_ == "repeats" && run.pass != Pass::first) scale(run, frame[rstd_], 2);
  }
  void backward_input(Run& run, Frame& frame) {
    run.ops.rmsnorm_backward_input({frame.x, weight_.weight, frame[rstd_], frame.dy, TensorView{}, frame.dx});
    if (flaw_ == "input") scale(run, frame.dx, 3);
  }
  void backward_weight(Run& run, Frame& frame) {
    if (flaw_ == "replaces") scale(run, weight_.grad, 0);
    run.ops.rmsnorm_backward_weight({frame.x, frame[rstd_], frame.dy, weight_.grad});
    if (flaw_ == "weight") scale(run, weight_.grad, 3);
  }

  std::string flaw_;
  Parameter& weight_;
  Entry rstd_;
  SegmentOf<FlawedLayer> segment_;
  std::vector<Segment*> segments_;
  std::vector<Parameter*> parameters_;
};

/// Counts up from the sample's number.
class FlawedData final : public DataSource {
 public:
  using Interface = DataSource;
  static constexpr const char* kName = "flawed";
  static constexpr const char* kSummary = "Counting with a mistake";
  static constexpr caravan_param kParams[] = {
      {"sequence_length", "int", nullptr, "tokens", "> 0", "Tokens of a sample."},
      {"seed", "int", "0", "", ">= 0", "Of the order."},
      {"flaw", "none|rank|order|range|digest", "none", "", "", "What is wrong."},
  };
  FlawedData(const Host&, const Config& config)
      : length_(config.get_int("sequence_length")),
        seed_(config.get_int("seed")),
        flaw_(config.get_string("flaw")) {}

  std::int64_t sequence_length() const override { return length_; }
  std::int64_t samples() const override { return 0; }
  std::int64_t vocab_size() const override { return 40; }
  bool has_documents() const override { return false; }
  DataIdentity identity() const override {
    return {.digest = "count:" + std::to_string(flaw_ == "digest" ? seed_ : 0),
            .tokenizer_digest = {},
            .tokenizer = {}};
  }
  void read(std::int64_t index, const Sample& sample) override {
    const char* rank = test::launched_rank();
    std::int64_t first = index + seed_;
    if (flaw_ == "rank" && rank) first += std::atoi(rank);
    if (flaw_ == "order") first += reads_++;
    for (std::size_t i = 0; i < sample.tokens.size(); ++i) {
      sample.tokens[i] =
          static_cast<std::int32_t>((first + static_cast<std::int64_t>(i)) % (flaw_ == "range" ? 41 : 40));
      sample.labels[i] = (sample.tokens[i] + 1) % 40;
    }
  }

 private:
  std::int64_t length_, seed_, reads_ = 0;
  std::string flaw_;
};

/// Gradient descent.
class FlawedOptimizer final : public Optimizer {
 public:
  using Interface = Optimizer;
  static constexpr const char* kName = "flawed";
  static constexpr const char* kSummary = "Gradient descent with a mistake";
  static constexpr caravan_param kParams[] = {
      {"flaw", "none|state|place|failed", "none", "", "", "What is wrong."}};
  FlawedOptimizer(const Host&, const Config& config) : flaw_(config.get_string("flaw")) {}
  std::vector<std::string> slots() const override { return {}; }
  bool is_elementwise() const override { return true; }
  void update(Ops&, const OptimizerStep& step, const UpdateGroup& group) override {
    const float scale = *step.gradient_scale.as<float>();
    if (!(scale == scale) && flaw_ != "failed") return;
    ++updates_;
    for (std::int64_t i = 0; i < group.master.count(); ++i) {
      float change = static_cast<float>(step.lr) * scale * group.grad.as<float>()[i];
      if (flaw_ == "state") change *= static_cast<float>(updates_);
      if (flaw_ == "place" && i == 0) change *= 2;
      group.master.as<float>()[i] -= change;
    }
  }

 private:
  std::string flaw_;
  std::int64_t updates_ = 0;
};

/// Appends a byte a record; the first one of a start cuts those of steps that are done again.
class FlawedSink final : public MetricSink {
 public:
  FlawedSink(const std::string& flaw, const std::string& path, std::int64_t first_step)
      : flaw_(flaw),
        path_(path),
        first_step_(first_step),
        file_(std::fopen(path.c_str(), flaw == "cuts"      ? "w"
                                       : flaw == "resumes" ? "wx"
                                                           : "a")) {
    if (!file_) throw IoError("cannot open " + path);
  }
  ~FlawedSink() override { std::fclose(file_); }
  FlawedSink(const FlawedSink&) = delete;
  FlawedSink& operator=(const FlawedSink&) = delete;
  void write(const StepRecord& record) override {
    if (flaw_ == "late" && record.find(metric::kValidationLoss)) throw IoError("no such column");
    if (record.step == first_step_ && flaw_ != "twice") cut();
    if (flaw_ != "nothing" && (flaw_ != "cuts" || record.step < 9)) std::fputc('x', file_);
  }

 private:
  void cut() {
    const auto before = static_cast<std::uintmax_t>(first_step_ - 1);
    if (std::filesystem::file_size(path_) > before) std::filesystem::resize_file(path_, before);
  }

  std::string flaw_, path_;
  std::int64_t first_step_;
  std::FILE* file_;
};

class FlawedMetrics final : public Metrics {
 public:
  using Interface = Metrics;
  static constexpr const char* kName = "flawed";
  static constexpr const char* kSummary = "Metrics with a mistake";
  static constexpr caravan_param kParams[] = {
      {"flaw", "none|late|cuts|resumes|nothing|twice", "none", "", "", "What is wrong."},
  };

  FlawedMetrics(const Host&, const Config& config) : flaw_(config.get_string("flaw")) {}
  std::unique_ptr<MetricSink> open(const MetricsRun& run) override {
    return std::make_unique<FlawedSink>(flaw_, run.folder + "/bytes", run.first_step);
  }

 private:
  std::string flaw_;
};

}  // namespace
}  // namespace caravan::testing

CARAVAN_PLUGIN("flawed-components", "1.0.0", "Apache-2.0", "Wrong on purpose",
               caravan::component<caravan::testing::FlawedLayer>(),
               caravan::component<caravan::testing::FlawedData>(),
               caravan::component<caravan::testing::FlawedMetrics>(),
               caravan::component<caravan::testing::FlawedOptimizer>());
