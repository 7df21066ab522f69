#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <vector>

#include "caravan/optimizer.hpp"
#include "caravan/random.hpp"
#include "jobs/check/check_component.hpp"

namespace caravan::jobs {
namespace {

constexpr std::int64_t kRows = 7, kColumns = 12, kSteps = 3;

/// One matrix with everything that belongs to it, in host memory.
struct Matrix {
  std::vector<float> master, grad;
  std::vector<std::vector<float>> slots;

  explicit Matrix(std::size_t slots_of_rule)
      : master(kRows * kColumns),
        grad(master.size()),
        slots(slots_of_rule, std::vector<float>(master.size())) {
    for (std::size_t i = 0; i < master.size(); ++i) master[i] = 0.1f * normal({3, hash_name("master")}, 1, i);
  }
  void draw_gradient(std::int64_t step) {
    for (std::size_t i = 0; i < grad.size(); ++i)
      grad[i] = normal({3, hash_name("gradient")}, static_cast<std::uint64_t>(step), i);
  }
  bool operator==(const Matrix&) const = default;
};

TensorView part(std::vector<float>& of, std::int64_t begin, std::int64_t end, bool is_whole) {
  const Shape shape = is_whole ? Shape{kRows, kColumns} : Shape{end - begin};
  return TensorView(of.data() + begin, DType::f32, shape);
}

class OptimizerCheck {
 public:
  OptimizerCheck(Registry& registry, const std::string& name, const Config& keys, Findings& findings)
      : registry_(registry),
        name_(name),
        keys_(keys),
        findings_(findings),
        device_(registry.create<Device>("reference", Host::of(registry), Config::map())),
        optimizer_(make()) {}

  void run() {
    const Matrix whole = trained({{0, kRows * kColumns}}, false);
    findings_.add(whole == trained({{0, kRows * kColumns}}, false), "the same update of the same numbers",
                  "other weights or slots");
    findings_.add(whole == trained({{0, kRows * kColumns}}, true),
                  "all state is in the slots, as after a restart",
                  "an instance of its own for each step updates otherwise");
    findings_.add(is_finite(whole.master) && whole.master != Matrix(whole.slots.size()).master,
                  "weights change and are finite", "they do not change, or are not");
    check_pieces(whole);
    check_failed_step();
  }

 private:
  using Pieces = std::vector<std::pair<std::int64_t, std::int64_t>>;

  Made<Optimizer> make() {
    return registry_.create<Optimizer>(name_, Host::of(registry_, device_.get()), keys_);
  }

  static bool is_finite(const std::vector<float>& values) {
    for (const float value : values)
      if (!std::isfinite(value)) return false;
    return true;
  }

  void update(Optimizer& optimizer, Matrix& matrix, const Pieces& pieces, std::int64_t step, float scale) {
    for (const auto& [begin, end] : pieces) {
      const bool is_whole = begin == 0 && end == kRows * kColumns;
      UpdateGroup group{.name = "matrix.weight",
                        .master = part(matrix.master, begin, end, is_whole),
                        .grad = part(matrix.grad, begin, end, is_whole)};
      for (std::vector<float>& slot : matrix.slots) group.slots.push_back(part(slot, begin, end, is_whole));
      const OptimizerStep now{step, 1e-2, TensorView(&scale, DType::f32, {1})};
      optimizer.update(device_->ops(), now, group);
      device_->synchronize();
    }
  }

  /// After some steps; `anew`: each by an instance of its own.
  Matrix trained(const Pieces& pieces, bool anew) {
    Matrix matrix(optimizer_->slots().size());
    for (std::int64_t step = 1; step <= kSteps; ++step) {
      matrix.draw_gradient(step);
      const Made<Optimizer> own = make();
      update(anew ? *own : *optimizer_, matrix, pieces, step, 0.5f);
    }
    return matrix;
  }

  void check_pieces(const Matrix& whole) {
    const char* claim = "flat pieces are updated as the whole matrix, as shards are";
    if (!optimizer_->is_elementwise()) return findings_.leave_out(claim, "the rule is not elementwise");
    for (const Pieces& pieces :
         {Pieces{{0, 1}, {1, kRows * kColumns}}, Pieces{{0, 29}, {29, 47}, {47, kRows * kColumns}}})
      findings_.add(whole == trained(pieces, false), fmt::format("{} ({} pieces)", claim, pieces.size()),
                    "other weights or slots");
  }

  /// A step whose loss is no number has a clip factor that is none.
  void check_failed_step() {
    Matrix matrix(optimizer_->slots().size());
    matrix.draw_gradient(1);
    const Matrix before = matrix;
    update(*optimizer_, matrix, {{0, kRows * kColumns}}, 1, std::numeric_limits<float>::quiet_NaN());
    findings_.add(matrix.master == before.master && matrix.slots == before.slots,
                  "a failed step changes nothing", "weights or slots change where gradient_scale is NaN");
  }

  Registry& registry_;
  std::string name_;
  Config keys_;
  Findings& findings_;
  Made<Device> device_;
  Made<Optimizer> optimizer_;
};

}  // namespace

void check_optimizer(const CheckRequest& request, Findings& findings) {
  OptimizerCheck(request.registry, request.name, request.keys, findings).run();
}

}  // namespace caravan::jobs
