#include "caravan/low_rank.hpp"

#include <fnmatch.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "caravan/bf16.hpp"
#include "caravan/check.hpp"
#include "caravan/schema.hpp"
#include "core/run/name_hint.hpp"

namespace caravan {
namespace {

constexpr caravan_param kLowRankParams[] = {
    {"rank", "int", nullptr, "", "[1, 65536]", "Rows of A and columns of B."},
    {"alpha", "float", "null", "", "> 0", "What an adapter adds is times alpha / rank; null: rank."},
    {"parameters", "string list", nullptr, "", "", "Globs over names as caravan inspect shows them."},
};
constexpr std::string_view kWeight = ".weight", kA = ".lora_a", kB = ".lora_b";

bool fits_glob(const std::string& glob, const std::string& name) {
  return ::fnmatch(glob.c_str(), name.c_str(), 0) == 0;
}

/// "attention.wq.lora" of "layers.0.attention.wq.lora_a": entries of all layers are named alike.
std::string entry_name(const Parameter& a) {
  const std::string& name = a.spec().name;
  const std::size_t end = name.size() - std::string_view("_a").size();
  std::size_t begin = name.rfind('.', end);
  for (int dots = 0; dots < 2 && begin != std::string::npos && begin > 0; ++dots)
    begin = name.rfind('.', begin - 1);
  begin = begin == std::string::npos ? 0 : begin + 1;
  return name.substr(begin, end - begin);
}

const Cut* cut_of(const ParameterSpec& spec, int axis) {
  const auto& cuts = spec.sharding.cuts;
  const auto found = std::find_if(cuts.begin(), cuts.end(), [&](const Cut& cut) { return cut.axis == axis; });
  return found == cuts.end() ? nullptr : &*found;
}

/// The shape and the cuts of A or B: those of the base, but that `axis` has the rank and is whole.
ParameterSpec spec_of(const ParameterSpec& base, std::size_t part, std::string_view which, int axis,
                      std::int64_t rank) {
  const ParameterPart& of = base.parts[part];
  ParameterSpec spec;
  spec.name = adapter_name(of.name, which);
  spec.shape = base.shape;
  spec.shape.set(base.part_axis, of.extent);
  // PEFT draws A from U(±1/√M); this is the normal distribution of the same variance.
  const auto inputs = static_cast<float>(base.shape[base.shape.rank() - 1]);
  const Initial initial =
      which == "a" ? Initial{.std = 1 / std::sqrt(3 * inputs)} : Initial{.rule = Initial::Rule::zeros};
  spec.shape.set(axis, rank);
  spec.kind = base.kind;
  spec.part_axis = base.part_axis;
  spec.parts = {{spec.name, spec.shape[spec.part_axis], initial, axis == base.part_axis ? 1 : of.unit,
                 axis != base.part_axis && of.repeats}};
  for (int other = 0; other < base.shape.rank(); ++other)
    if (const Cut* cut = cut_of(base, other); cut && other != axis) spec.sharding.cuts.push_back(*cut);
  return spec;
}

void check_exact(float factor, DType compute, const LowRankRule& rule) {
  const bool is_exact = compute != DType::bf16 || from_bf16(to_bf16(factor)) == factor;
  CARAVAN_CHECK(is_exact, ConfigError,
                "lora: alpha / rank = " + std::to_string(rule.scale) +
                    " (bf16, in which this model computes, has no such number). An alpha that is rank times "
                    "a power of two?");
}

}  // namespace

bool LowRankRule::fits(const std::string& part) const {
  return std::any_of(globs.begin(), globs.end(), [&](const auto& glob) { return fits_glob(glob, part); });
}

std::optional<LowRankRule> read_low_rank(const Config& lora) {
  if (lora.is_null()) return std::nullopt;
  const Config given = validate(lora, kLowRankParams, "lora");
  LowRankRule rule{given.get_int("rank"), 1, given.at("parameters").as_string_list()};
  if (const Config& alpha = given.find("alpha"); !alpha.is_null())
    rule.scale = alpha.as_float() / static_cast<double>(rule.rank);
  CARAVAN_CHECK(!rule.globs.empty(), ConfigError,
                given.where() +
                    ": lora.parameters is empty (nothing would be adapted). "
                    "[\"*.attention.w?.weight\"]?");
  return rule;
}

std::string adapter_name(std::string_view part, std::string_view which) {
  if (part.ends_with(kWeight)) part.remove_suffix(kWeight.size());
  return std::string(part) + ".lora_" + std::string(which);
}

bool is_adapter(std::string_view name) noexcept {
  return name.ends_with(kA) || name.ends_with(kB);
}

void check_adapters(const LowRankRule& rule, const ParameterStore& whole_model) {
  std::vector<std::string> parts;
  std::set<std::string> adapters;
  for (const auto& parameter : whole_model.parameters())
    for (const ParameterPart& part : parameter->spec().parts) {
      if (is_adapter(part.name))
        adapters.insert(part.name);
      else
        parts.push_back(part.name);
    }
  for (const std::string& glob : rule.globs) {
    bool fits_some = false;
    for (const std::string& part : parts) {
      if (!fits_glob(glob, part)) continue;
      fits_some = true;
      CARAVAN_CHECK(adapters.contains(adapter_name(part, "a")), ConfigError,
                    "lora.parameters: '" + glob + "' fits " + part +
                        " (only the matrices of attention, SwiGLU feed-forwards, shared experts and experts "
                        "have adapters). A narrower glob, such as *.attention.w?.weight?");
    }
    CARAVAN_CHECK(
        fits_some, ConfigError,
        "lora.parameters: '" + glob + "' fits no parameter (" + name_hint(glob, parts) + "). Misspelled?");
  }
}

LowRankProducts::LowRankProducts(ParameterStore& store, const Parameter& base,
                                 const std::optional<LowRankRule>& rule)
    : base_(&base), compute_(store.compute()) {
  if (!rule) return;
  rank_ = rule->rank;
  factor_ = static_cast<float>(rule->scale);
  const ParameterSpec& spec = base.spec();
  const int inputs = spec.shape.rank() - 1, outputs = inputs - 1;
  std::int64_t begin = 0;
  for (std::size_t part = 0; part < spec.parts.size(); ++part) {
    const std::int64_t width = base.part_box(part).extents[outputs];
    if (rule->fits(spec.parts[part].name)) {
      Adapter adapter;
      adapter.a = &store.declare(spec_of(spec, part, "a", outputs, rank_));
      adapter.b = &store.declare(spec_of(spec, part, "b", inputs, rank_));
      adapter.columns = {begin, begin + width};
      for (Parameter* parameter : {adapter.a, adapter.b}) {
        parameter->offers_freezing();
        // Of experts rows may come to some alone.
        if (!is_grouped()) parameter->replaces_gradient();
      }
      adapters_.push_back(adapter);
    }
    begin += width;
  }
  if (empty() || factor_ == 1) return;
  check_exact(factor_, compute_, *rule);
  scale_ = &store.declare_buffer("lora.scale", {rank_, rank_}, Buffer::Role::constant);
}

void LowRankProducts::append_to(std::vector<Parameter*>& parameters) const {
  for (const Adapter& each : adapters_) parameters.insert(parameters.end(), {each.a, each.b});
}

void LowRankProducts::plan(const BatchShape& shape, std::int64_t rows, std::string_view section,
                           StashPlan& plan) {
  const DType type = shape.compute;
  const Shape narrow{rows, rank_};
  for (Adapter& each : adapters_) {
    const std::string name = entry_name(*each.a);
    each.down = plan.add(name, type, narrow, is_scaled() ? Lifetime::forward : Lifetime::weight, name);
    if (is_scaled()) each.scaled = plan.add(name + ".scaled", type, narrow, Lifetime::weight, name);
    each.gradient = plan.add(name + ".gradient", type, narrow,
                             is_scaled() ? Lifetime::backward : Lifetime::backward_weight);
    if (is_scaled())
      each.scaled_gradient = plan.add(name + ".scaled.gradient", type, narrow, Lifetime::backward_weight);
  }
  if (empty() || !is_grouped()) return;
  const Shape& base = base_->shape();
  const std::string name = entry_name(*adapters_.front().a);
  output_ = plan.add(name + ".out", type, {rows, base[1]}, Lifetime::forward, section);
  input_ = plan.add(name + ".in.gradient", type, {rows, base[2]}, Lifetime::backward);
}

/// s·I: one product more scales on every device.
void LowRankProducts::prepare(Device& device) const {
  if (!is_scaled() || scale_->prepared) return;
  scale_->prepared = true;
  const auto count = static_cast<std::size_t>(rank_ * rank_), step = static_cast<std::size_t>(rank_ + 1);
  const auto fill = [&](auto zero, auto factor) {
    std::vector<decltype(zero)> values(count, zero);
    for (std::size_t at = 0; at < count; at += step) values[at] = factor;
    device.copy_from_host(Lane::compute, scale_->data.data, values.data(), count * sizeof(zero));
    device.synchronize();
  };
  if (compute_ == DType::bf16)
    fill(std::uint16_t{0}, to_bf16(factor_));
  else
    fill(0.0f, factor_);
}

TensorView LowRankProducts::held(const Parameter& parameter, const TensorView& whole, const Where& where) {
  if (where.offsets.empty()) return whole;
  const std::int64_t begin = where.first - parameter.part_box(0).origin[0];
  return whole.rows(begin, begin + where.experts);
}

TensorView LowRankProducts::columns_of(const Adapter& adapter, const Where& where, TensorView all) const {
  const std::int64_t first = where.columns.begin;
  return all.slice(1, adapter.columns.begin - first, adapter.columns.end - first);
}

void LowRankProducts::scale(Run& run, TensorView from, TensorView to) const {
  if (is_scaled())
    run.ops.linear_forward({from, TensorView(scale_->data.data, compute_, {rank_, rank_}), {}, {}, to});
}

namespace {

bool is_in(RowRange columns, RowRange all) {
  return all.empty() || (columns.begin >= all.begin && columns.end <= all.end);
}

}  // namespace

void LowRankProducts::forward(Run& run, const Frame& frame, const Where& where, TensorView x,
                              TensorView y) const {
  if (empty() || where.rows.empty()) return;
  if (is_grouped() && !y.empty())
    run.device.fill_zero(Lane::compute, frame[output_].data, frame[output_].bytes());
  for (const Adapter& each : adapters_) {
    if (!is_in(each.columns, where.columns)) continue;
    if (run.makes(frame, kept(each))) {
      const TensorView down = where.rows.of(frame[each.down]), a = held(*each.a, each.a->weight, where);
      if (is_grouped())
        run.ops.grouped_linear_forward({x, where.offsets, a, down});
      else
        run.ops.linear_forward({x, a, {}, {}, down});
      scale(run, down, where.rows.of(frame[kept(each)]));
    }
    if (!y.empty())
      add_up(run, frame, where, each, columns_of(each, where, is_grouped() ? frame[output_] : y));
  }
  if (is_grouped() && !y.empty()) run.ops.add({frame[output_], y});
}

void LowRankProducts::add_up(Run& run, const Frame& frame, const Where& where, const Adapter& adapter,
                             TensorView y) const {
  const TensorView narrow = where.rows.of(frame[kept(adapter)]),
                   b = held(*adapter.b, adapter.b->weight, where);
  if (is_grouped())
    run.ops.grouped_linear_forward({narrow, where.offsets, b, y});
  else
    run.ops.linear_forward({narrow, b, {}, y, y});
}

void LowRankProducts::backward_input(Run& run, const Frame& frame, const Where& where, TensorView dy,
                                     TensorView dx) const {
  if (where.rows.empty()) return;
  for (const Adapter& each : adapters_) {
    if (!is_in(each.columns, where.columns)) continue;
    const TensorView gradient = columns_of(each, where, dy), narrow = where.rows.of(frame[each.gradient]),
                     scaled = where.rows.of(frame[kept_gradient(each)]),
                     a = held(*each.a, each.a->weight, where), b = held(*each.b, each.b->weight, where);
    if (!is_grouped()) {
      run.ops.linear_backward_input({gradient, b, narrow});
      scale(run, narrow, scaled);
      run.ops.linear_backward_input({scaled, a, dx, true});
      continue;
    }
    run.ops.grouped_linear_backward_input({gradient, where.offsets, b, narrow});
    scale(run, narrow, scaled);
    run.ops.grouped_linear_backward_input({scaled, where.offsets, a, frame[input_]});
    run.ops.add({frame[input_], dx});
  }
}

void LowRankProducts::backward_weight(Run& run, const Frame& frame, const Where& where, TensorView x,
                                      TensorView dy) const {
  const auto add_to = [&](Parameter& parameter, TensorView in, TensorView out) {
    if (!parameter.is_trained()) return;
    if (is_grouped())
      run.ops.grouped_linear_backward_weight({in, out, where.offsets, held(parameter, parameter.grad, where),
                                              parameter.begin_sum(), parameter.squares});
    else
      run.ops.linear_backward_weight({in, out, parameter.grad, {}, parameter.begin_sum()});
  };
  for (const Adapter& each : adapters_) {
    add_to(*each.b, frame[kept(each)], columns_of(each, where, dy));
    add_to(*each.a, x, frame[kept_gradient(each)]);
  }
}

}  // namespace caravan
