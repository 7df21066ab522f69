#include "plugins/layer/moe/moe_layer.hpp"

#include <algorithm>
#include <iterator>

#include "caravan/check.hpp"
#include "caravan/checked.hpp"

namespace caravan::moe {
namespace {

/// Each rank of an expert group has the same number of experts; the width of each may be cut along `width`.
Sharding over_expert_ranks(int width) {
  return {{{0, MeshAxis::ep}, {width, MeshAxis::etp}}};
}

Parameter& declare_gate_up(ParameterStore& store, const Options& options) {
  const std::string name = options.name + ".moe.experts.";
  return store.declare({name + "w13",
                        {options.experts, 2 * options.hidden, options.dim},
                        ParameterKind::expert,
                        1,
                        {{name + "w1", options.hidden, {.std = options.init_std}},
                         {name + "w3", options.hidden, {.std = options.out_std}}},
                        over_expert_ranks(1)});
}

Parameter& declare_down(ParameterStore& store, const Options& options) {
  ParameterSpec spec =
      ParameterSpec::whole(options.name + ".moe.experts.w2", {options.experts, options.dim, options.hidden},
                           ParameterKind::expert, {.std = options.out_std});
  spec.sharding = over_expert_ranks(2);
  return store.declare(std::move(spec));
}

}  // namespace

MoeLayer::MoeLayer(const Host& host, const Config& config)
    : options_(config, host.mesh),
      chosen_(choose_dispatcher(host, config.at("dispatch"))),
      held_(dispatch_needs({})),
      norm_(*host.parameters, options_.name + ".ffn_norm.weight", options_.dim, options_.norm_eps,
            options_.shared_hidden > 0 || options_.cuts_experts ? TensorRows(host) : TensorRows()),
      stream_(random_stream(config)),
      dropout_(stream_, ".moe.dropout", options_.dropout, options_.dim),
      sequences_(options_.cuts_experts ? TensorRows() : TensorRows(host), ContextRows(host)),
      balance_(sequences_, options_.cuts_experts, options_.balance_loss, options_.experts),
      gate_(host.parameters->declare(ParameterSpec::whole(options_.name + ".moe.router.gate.weight",
                                                          {options_.experts, options_.dim},
                                                          ParameterKind::router, {.std = options_.out_std}))),
      gate_up_(declare_gate_up(*host.parameters, options_)),
      down_(declare_down(*host.parameters, options_)),
      gate_up_adapters_(*host.parameters, gate_up_, options_.lora),
      down_adapters_(*host.parameters, down_, options_.lora),
      counts_(host.parameters->declare_buffer(options_.name + ".moe.tokens_per_expert", {options_.experts},
                                              Buffer::Role::counter)),
      norm_segment_(
          *this, "norm",
          {&MoeLayer::norm_forward, &MoeLayer::norm_backward_input, &MoeLayer::norm_backward_weight}),
      gather_("gather", RowsSegment::Forward::gather, norm_.rows(), options_.dim, norm_.entries()),
      sum_("sum", RowsSegment::Forward::sum, norm_.rows(), options_.dim, {summand_, dresult_},
           options_.cuts_experts ? RowsSegment::Source::exchanges : RowsSegment::Source::computation),
      shared_in_(*this, norm_.rows(), Segment::Directions::forward, &MoeLayer::shared_forward_in),
      shared_out_(*this, norm_.rows(), Segment::Directions::backward, &MoeLayer::shared_backward_out),
      router_(
          *this, "router",
          {&MoeLayer::router_forward, &MoeLayer::router_backward_input, &MoeLayer::router_backward_weight}),
      shared_segment_(
          *this, "shared",
          {&MoeLayer::shared_forward, &MoeLayer::shared_backward_input, &MoeLayer::shared_backward_weight},
          SegmentOf<MoeLayer>::Pending::independent),
      experts_segment_(
          *this, "experts",
          {&MoeLayer::experts_forward, &MoeLayer::experts_backward_input, &MoeLayer::experts_backward_weight},
          SegmentOf<MoeLayer>::Pending::experts),
      merge_(*this, "merge", {&MoeLayer::merge_forward, &MoeLayer::merge_backward_input}),
      dispatch_(*this),
      combine_(*this),
      segments_(list_segments()),
      parameters_{&norm_.weight(), &gate_, &gate_up_, &down_} {
  check_experts();
  for (Parameter* parameter : {&gate_, &gate_up_, &down_}) parameter->offers_freezing();
  gate_up_adapters_.append_to(parameters_);
  down_adapters_.append_to(parameters_);
  check_adapters_fit_ranks();
  // Sums over a part of the experts cannot stand for the whole gradient.
  if (held_.local_experts == gate_up_.shape()[0]) {
    gate_up_.squares_gradient();
    down_.squares_gradient();
  }
  if (options_.noisy) {
    noise_ = &host.parameters->declare(
        ParameterSpec::whole(options_.name + ".moe.router.noise.weight", {options_.experts, options_.dim},
                             ParameterKind::router, {.std = options_.out_std}));
    parameters_.push_back(&noise_->offers_freezing());
  }
  if (options_.shared_hidden > 0) {
    shared_.emplace(*host.parameters, options_.name + ".moe.shared_experts", ParameterKind::shared_expert,
                    SwigluBlock::Widths{options_.dim, options_.shared_hidden, options_.init_std,
                                        options_.out_std, options_.out_std},
                    options_.lora);
    const std::vector<Parameter*> shared = shared_->parameters();
    parameters_.insert(parameters_.end(), shared.begin(), shared.end());
  }
  if (options_.bias_rate > 0) {
    bias_ = &host.parameters->declare_buffer(options_.name + ".moe.expert_bias", {options_.experts},
                                             Buffer::Role::state);
  }
}

std::vector<Segment*> MoeLayer::list_segments() {
  std::vector<Segment*> all{&router_, &dispatch_, &shared_segment_, &experts_segment_, &combine_, &merge_};
  if (options_.cuts_experts)
    all = {&norm_segment_,    &gather_,  &router_, &dispatch_, &shared_segment_,
           &experts_segment_, &combine_, &sum_,    &merge_};
  else if (gathers_shared())
    all = {&router_, &dispatch_, &gather_, &shared_segment_, &sum_, &experts_segment_, &combine_, &merge_};
  if (norm_.rows().overlap() && options_.shared_hidden > 0) {
    all.insert(std::next(std::find(all.begin(), all.end(), &gather_)), &shared_in_);
    all.insert(std::find(all.begin(), all.end(), &sum_), &shared_out_);
  }
  return all;
}

void MoeLayer::plan(const BatchShape& shape, StashPlan& plan) {
  norm_.plan(shape, plan);
  dropout_.plan(shape, plan);
  if (shared_) shared_->plan(shape, plan);
  declare_entries(shape, plan);
}

void MoeLayer::prepare(Device& device, std::int64_t) {
  gate_up_adapters_.prepare(device);
  down_adapters_.prepare(device);
  if (shared_) shared_->prepare(device);
}

/// What cut experts have whole (A of w1 and w3, B of w2) would be summed over the ranks that cut them.
void MoeLayer::check_adapters_fit_ranks() const {
  CARAVAN_CHECK(!options_.cuts_experts || (gate_up_adapters_.empty() && down_adapters_.empty()), ConfigError,
                "layer '" + options_.name +
                    "': lora on experts with parallel.expert_tensor (their adapters are not cut). "
                    "parallel.expert_tensor=1, or lora.parameters without experts?");
}

void MoeLayer::declare_entries(const BatchShape& own, StashPlan& plan) {
  const BatchShape shape = routed_shape(own);
  const std::int64_t tokens = shape.rows(), top_k = options_.rule.top_k;
  const std::int64_t rows =
      checked_product({{"tokens of a micro-batch", tokens}, {"top_k", top_k}}, kMostRows, "rows of experts");
  const std::int64_t E = options_.experts;
  const std::int64_t noisy = options_.noisy && shape.phase == Phase::train ? tokens : 0;
  logits_ = plan.add("router.logits", DType::f32, {tokens, E}, Lifetime::input, "router");
  clean_logits_ = plan.add("router.clean", DType::f32, {balance_.is_wanted(shape.phase) ? noisy : 0, E},
                           Lifetime::input, "router");
  noise_std_ = plan.add("router.noise", DType::f32, {noisy, E}, Lifetime::input, "router");
  experts_ = plan.add("routing.experts", DType::i32, {tokens, top_k}, Lifetime::input, "router");
  weights_ = plan.add("routing.weights", DType::f32, {tokens, top_k}, Lifetime::input, "router");
  offsets_ = plan.add("routing.offsets", DType::i32, {E + 1}, Lifetime::weight, "router");
  row_of_ = plan.add("routing.row_of", DType::i32, {tokens, top_k}, Lifetime::input, "router");
  choice_of_ = plan.add("routing.choice_of", DType::i32, {rows}, Lifetime::input, "router");
  // Forward alone reads them where only the capacity asks.
  choices_ = sequences_.plan(own, plan,
                             {"routing.choices", DType::i32, asks_sequences(own) ? top_k : 0,
                              balance_.is_wanted(own.phase) ? Lifetime::input : Lifetime::forward, "router"});
  balance_.plan(own, plan);
  declare_rows(own, plan);
  declare_exchange(dispatch_needs(shape), shape, plan);
  dweights_ = plan.add("routing.weights.gradient", DType::f32, {tokens, top_k}, Lifetime::backward);
  dlogits_ = plan.add("router.logits.gradient", shape.compute, {tokens, E}, Lifetime::backward_weight);
  dnoise_ = plan.add("router.noise.gradient", shape.compute, {noisy, E}, Lifetime::backward_weight);
}

void MoeLayer::declare_rows(const BatchShape& shape, StashPlan& plan) {
  const Shape none{0, options_.dim}, all = rows_travel() ? norm_.rows().memory(shape, options_.dim) : none;
  const bool trains = shape.phase == Phase::train;
  summand_ = plan.add("summand", shape.compute, all, Lifetime::forward, kOutputSection);
  dresult_ = plan.add("result.gradient", shape.compute, trains ? all : none, Lifetime::backward_weight);
  drouted_ =
      plan.add("routed.gradient", shape.compute,
               trains && gathers_shared() ? Shape{shape.rows(), options_.dim} : none, Lifetime::backward);
}

void MoeLayer::declare_exchange(const DispatchNeeds& needs, const BatchShape& shape, StashPlan& plan) {
  const std::int64_t bound = needs.most_received, H = options_.dim, F = down_.shape()[2];
  const DType T = shape.compute;
  const bool on_output = options_.score_side == ScoreSide::output;
  plan.uses_shared(needs.window_bytes);
  const auto bytes = [](std::size_t count) { return Shape{static_cast<std::int64_t>(count)}; };
  handle_ = plan.add("dispatch.handle", DType::u8, bytes(needs.handle_bytes), Lifetime::input, kKeptSection);
  scratch_ =
      plan.add("dispatch.scratch", DType::u8, bytes(needs.scratch_bytes), Lifetime::forward, "dispatch");
  received_ = plan.add("received", T, {bound, H}, Lifetime::weight, "dispatch");
  received_weights_ = plan.add("received.weights", DType::f32, {needs.weights_travel ? bound : 0},
                               Lifetime::input, "dispatch");
  received_offsets_ =
      plan.add("received.offsets", DType::i32, {needs.keeps_order ? 0 : needs.local_experts + 1},
               Lifetime::weight, "dispatch");
  pre_ = plan.add("experts.in", T, {bound, 2 * F}, Lifetime::input);
  activated_ = plan.add("experts.activated", T, {bound, F}, Lifetime::weight);
  expert_out_ = plan.add("experts.out", T, {bound, H}, on_output ? Lifetime::input : Lifetime::forward,
                         on_output ? "combine" : kOutputSection);
  backward_scratch_ =
      plan.add("dispatch.scratch.gradient", DType::u8, bytes(needs.scratch_bytes), Lifetime::backward);
  dexpert_out_ = plan.add("experts.out.gradient", T, {bound, H}, Lifetime::backward_weight);
  dactivated_ = plan.add("experts.activated.gradient", T, {bound, F}, Lifetime::backward);
  dpre_ = plan.add("experts.in.gradient", T, {bound, 2 * F}, Lifetime::backward_weight);
  dreceived_ = plan.add("received.gradient", T, {bound, H}, Lifetime::backward);
  gate_up_adapters_.plan(shape, bound, "experts.in", plan);
  down_adapters_.plan(shape, bound, on_output ? "combine" : kOutputSection, plan);
}

void MoeLayer::end_of_step(Ops& ops, TensorView proceed) {
  if (bias_)
    ops.expert_bias_update({counts_.data, bias_->data, options_.bias_rate, options_.centre, proceed});
}

double MoeLayer::forward_flops(const BatchShape& shape) const {
  const auto tokens = static_cast<double>(shape.tokens()), dim = static_cast<double>(options_.dim);
  const double router = 2 * tokens * dim * static_cast<double>(options_.experts);
  const double routed =
      6 * tokens * static_cast<double>(options_.rule.top_k) * dim * static_cast<double>(options_.hidden);
  return router + routed + (shared_ ? shared_->forward_flops(shape.tokens()) : 0);
}

}  // namespace caravan::moe

CARAVAN_PLUGIN("layer-moe", CARAVAN_VERSION, "Apache-2.0", "Mixture of experts of Llama 4",
               caravan::component<caravan::moe::MoeLayer>());
