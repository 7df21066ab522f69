#include <fmt/format.h>

#include "tests/device/cases.hpp"

namespace caravan::testing {
namespace {

enum class Option { off, on };

struct RouterCase {
  const char* name;
  std::int64_t tokens, experts;
  RouterRule rule;
  Option bias = Option::off, noise = Option::off, ties = Option::off;
};

using enum Option;

const std::vector<RouterCase>& router_cases() {
  using enum ScoreFunction;
  static const std::vector<RouterCase> kCases = {
      {"one_expert", 3, 1, {.score = sigmoid, .top_k = 1}},
      {"llama4", 70, 16, {.score = sigmoid, .top_k = 1}},
      {"top2", 33, 5, {.score = sigmoid, .top_k = 2}},
      {"top3_normalised", 33, 8, {.score = sigmoid, .top_k = 3, .normalise = true, .scale = 2.5f}},
      {"top_all", 5, 4, {.score = sigmoid, .top_k = 4, .normalise = true}},
      {"many_experts", 40, 128, {.score = sigmoid, .top_k = 1}, on},
      {"bias", 33, 8, {.score = sigmoid, .top_k = 2}, on},
      {"bias_in_weight", 33, 8, {.score = sigmoid, .top_k = 2, .bias_in_weight = true}, on},
      {"groups", 33, 8, {.score = sigmoid, .top_k = 2, .groups = 4, .limited_groups = 2}, on},
      {"groups_of_one", 9, 4, {.score = sigmoid, .top_k = 1, .groups = 4, .limited_groups = 2}},
      {"softmax", 33, 7, {.score = softmax, .top_k = 2}, on},
      {"softmax_normalised", 33, 7, {.score = softmax, .top_k = 3, .normalise = true, .scale = 0.5f}},
      {"softmax_bias_in_weight", 33, 7, {.score = softmax, .top_k = 2, .bias_in_weight = true}, on},
      {"softmax_selected", 33, 31, {.score = softmax_selected, .top_k = 2, .bias_in_weight = true}, on},
      {"softmax_selected_one", 9, 31, {.score = softmax_selected, .top_k = 1}},
      {"noise", 33, 6, {.score = sigmoid, .top_k = 2}, off, on},
      {"noise_softmax_selected", 33, 6, {.score = softmax_selected, .top_k = 2}, on, on},
      {"ties", 33, 6, {.score = sigmoid, .top_k = 3}, off, off, on},
      {"many_tokens", 1000, 16, {.score = sigmoid, .top_k = 1}, on},
      {"many_of_all",
       259,
       128,
       {.score = softmax, .top_k = 8, .normalise = true, .groups = 8, .limited_groups = 4},
       on},
      {"all_tokens_to_expert_0",
       33,
       6,
       {.score = sigmoid, .top_k = 1, .groups = 6, .limited_groups = 6},
       off,
       off,
       on},
  };
  return kCases;
}

struct RouterOperands {
  Handle logits, noise_std, bias, experts, weights, offsets, row_of, choice_of, counts;
};

/// Logits with equals among them; the last case wants the first expert everywhere.
std::vector<double> tied_logits(const RouterCase& c) {
  std::vector<double> logits;
  for (std::int64_t i = 0; i < c.tokens * c.experts; ++i) {
    logits.push_back(c.rule.top_k == 1 ? 1.0 : static_cast<double>((i * i + i / c.experts) % 3));
  }
  return logits;
}

RouterOperands operands(ProblemBuilder& b, const RouterCase& c) {
  const Shape scores{c.tokens, c.experts}, choices{c.tokens, c.rule.top_k};
  RouterOperands o{b.f32_random("logits", scores, 2),
                   b.f32_random("noise_std", scores),
                   b.f32_random("bias", {c.experts}, 0.3),
                   b.index_output("experts", choices),
                   b.contiguous(b.f32_output("weights", choices)),
                   b.index_output("offsets", {c.experts + 1}),
                   b.index_output("row_of", choices),
                   b.index_output("choice_of", {c.tokens * c.rule.top_k}),
                   b.given("counts", DType::f32, {c.experts}, std::vector<double>(c.experts, 3.0))};
  if (c.ties == on) b.set(o.logits, tied_logits(c));
  return o;
}

TensorView only_if(Option option, TensorView view) {
  return option == on ? view : TensorView();
}

constexpr RandomKey kNoiseKey{11, 12};
/// Rows of the first of two context ranks, so that their tokens are no neighbours.
TokenMap rows_of_blocks() {
  return TokenMap::context(100, 13, 2, 0);
}

RoutedTokens routed(const RouterCase& c, const RouterOperands& o, const Views& v) {
  return {.rule = c.rule,
          .logits = v[o.logits],
          .noise_std = only_if(c.noise, v[o.noise_std]),
          .noise_key = kNoiseKey,
          .rows = rows_of_blocks(),
          .bias = only_if(c.bias, v[o.bias]),
          .experts = v[o.experts],
          .weights = v[o.weights]};
}

RouteForward forward_args(const RouterCase& c, const RouterOperands& o, const Views& v) {
  return {.routed = routed(c, o, v),
          .offsets = v[o.offsets],
          .row_of = v[o.row_of],
          .choice_of = v[o.choice_of],
          .counts = v[o.counts]};
}

Problem route_forward(const RouterCase& c, Storage storage) {
  ProblemBuilder b(fmt::format("route_forward/{}", c.name), storage);
  const RouterOperands o = operands(b, c);
  return b.build([=](Ops& ops, const Views& v) { ops.route_forward(forward_args(c, o, v)); });
}

Problem route_backward(const RouterCase& c, Storage storage) {
  ProblemBuilder b(fmt::format("route_backward/{}", c.name), storage);
  const RouterOperands o = operands(b, c);
  b.prepare([=](Ops& ops, const Views& v) { ops.route_forward(forward_args(c, o, v)); });
  const Handle dweights = b.contiguous(b.f32_random("dweights", {c.tokens, c.rule.top_k}));
  const Handle dlogits = b.cancels(b.output("dlogits", {c.tokens, c.experts}), 0.1);
  const Handle dnoise = b.output("dnoise", {c.tokens, c.experts});
  return b.build([=](Ops& ops, const Views& v) {
    ops.route_backward({.routed = routed(c, o, v),
                        .dweights = v[dweights],
                        .dlogits = v[dlogits],
                        .dnoise = only_if(c.noise, v[dnoise])});
  });
}

/// Choices of whole sequences, of which a part has been routed here.
struct LimitCase {
  const char* name;
  std::int64_t tokens, experts, top_k, capacity, length;
  TokenMap here;
};

const std::vector<LimitCase>& limit_cases() {
  const auto whole = [](std::int64_t length) { return TokenMap::whole(0, length); };
  static const std::vector<LimitCase> kCases = {
      {"few", 70, 5, 2, 3, 10, whole(10)},
      {"uneven_end", 33, 6, 1, 4, 16, whole(16)},
      {"one", 1000, 16, 4, 1, 500, whole(500)},
      {"all", 60, 4, 2, 60, 60, whole(60)},
      {"many", 2048, 128, 1, 9, 1024, whole(1024)},
      {"one_expert", 700, 1, 1, 300, 350, whole(350)},
      {"long", 1500, 3, 2, 900, 1500, whole(1500)},
      {"context", 60, 5, 2, 3, 20, TokenMap::context(0, 20, 3, 1)},
      {"context_uneven", 2 * 333, 7, 1, 11, 333, TokenMap::context(0, 333, 2, 0)},
      {"rows_of_context", 60, 5, 2, 3, 20, TokenMap::context(0, 20, 2, 0).from(11)},
      {"rows", 64, 5, 1, 2, 32, TokenMap::whole(0, 32).from(40)},
  };
  return kCases;
}

/// Some experts are wanted by many.
std::int32_t choice_of_token(const LimitCase& c, std::int64_t token, std::int64_t k) {
  return static_cast<std::int32_t>((token * token % 11 / 3 + k) % c.experts);
}

/// The tokens here, in their order.
std::vector<std::int64_t> tokens_here(const LimitCase& c) {
  std::vector<std::int64_t> tokens;
  const std::int64_t all =
      c.tokens / c.length * c.here.length() + (c.here.is_whole() ? c.tokens % c.length : 0);
  for (std::int64_t row = 0; row < all - c.here.first_token; ++row) tokens.push_back(c.here.token(row));
  return tokens;
}

/// What a router leaves of the choices of the tokens here.
struct SortedChoices {
  std::vector<std::int32_t> offsets{0}, row_of, choice_of;

  explicit SortedChoices(const LimitCase& c) {
    const std::vector<std::int64_t> tokens = tokens_here(c);
    row_of.resize(tokens.size() * c.top_k);
    for (std::int64_t e = 0; e < c.experts; ++e) {
      for (std::size_t choice = 0; choice < row_of.size(); ++choice) {
        if (choice_of_token(c, tokens[choice / c.top_k], choice % c.top_k) != e) continue;
        row_of[choice] = static_cast<std::int32_t>(choice_of.size());
        choice_of.push_back(static_cast<std::int32_t>(choice));
      }
      offsets.push_back(static_cast<std::int32_t>(choice_of.size()));
    }
  }
};

Problem limit_choices(const LimitCase& c, Storage storage) {
  ProblemBuilder b(fmt::format("limit_choices/{}", c.name), storage);
  std::vector<std::int32_t> chosen;
  for (std::int64_t choice = 0; choice < c.tokens * c.top_k; ++choice)
    chosen.push_back(choice_of_token(c, choice / c.top_k, choice % c.top_k));
  const SortedChoices sorted(c);
  const auto rows = static_cast<std::int64_t>(sorted.choice_of.size());
  const Handle choices = b.indices("choices", {c.tokens, c.top_k}, chosen),
               offsets = b.indices("offsets", {c.experts + 1}, sorted.offsets),
               row_of = b.indices("row_of", {rows / c.top_k, c.top_k}, sorted.row_of),
               choice_of = b.indices("choice_of", {rows}, sorted.choice_of),
               dropped = b.given("dropped", DType::f64, {1}, {5.0});
  return b.build([=](Ops& ops, const Views& v) {
    ops.limit_choices({.choices = v[choices],
                       .capacity = c.capacity,
                       .sequence_length = c.length,
                       .rows = c.here,
                       .offsets = v[offsets],
                       .row_of = v[row_of],
                       .choice_of = v[choice_of],
                       .dropped = v[dropped]});
  });
}

struct BalanceCase {
  std::int64_t sequences, length, experts, top_k;
};

constexpr BalanceCase kBalanceCases[] = {{1, 1, 1, 1}, {2, 5, 3, 1}, {3, 33, 8, 2}, {2, 700, 40, 2}};

struct BalanceOperands {
  Handle logits, experts;
};

BalanceOperands operands(ProblemBuilder& b, const BalanceCase& c) {
  std::vector<std::int32_t> chosen;
  const std::int64_t tokens = c.sequences * c.length;
  for (std::int64_t t = 0; t < tokens; ++t) {
    for (std::int64_t k = 0; k < c.top_k; ++k)
      chosen.push_back(static_cast<std::int32_t>((t * t + k) % c.experts));
  }
  return {b.f32_random("logits", {tokens, c.experts}), b.indices("experts", {tokens, c.top_k}, chosen)};
}

std::string name_of(std::string_view op, const BalanceCase& c) {
  return fmt::format("{}/B{}_S{}_E{}_K{}", op, c.sequences, c.length, c.experts, c.top_k);
}

Problem balance_loss_forward(const BalanceCase& c, Storage storage) {
  ProblemBuilder b(name_of("balance_loss_forward", c), storage);
  const BalanceOperands o = operands(b, c);
  const Handle loss = b.given("loss", DType::f64, {1}, {0.25});
  return b.build([=](Ops& ops, const Views& v) {
    ops.balance_loss_forward({.logits = v[o.logits],
                              .experts = v[o.experts],
                              .sequence_length = c.length,
                              .coefficient = 0.5f,
                              .loss = v[loss]});
  });
}

Problem balance_loss_backward(const BalanceCase& c, Storage storage) {
  ProblemBuilder b(name_of("balance_loss_backward", c), storage);
  const BalanceOperands o = operands(b, c);
  const Handle dlogits = b.random("dlogits", {c.sequences * c.length, c.experts}, 0.1);
  return b.build([=](Ops& ops, const Views& v) {
    ops.balance_loss_backward({.logits = v[o.logits],
                               .experts = v[o.experts],
                               .sequence_length = c.length,
                               .coefficient = 0.5f,
                               .dlogits = v[dlogits]});
  });
}

}  // namespace

std::vector<Problem> router_problems(Storage storage) {
  std::vector<Problem> problems;
  for (const RouterCase& c : router_cases()) {
    problems.push_back(route_forward(c, storage));
    problems.push_back(route_backward(c, storage));
  }
  for (const LimitCase& c : limit_cases()) problems.push_back(limit_choices(c, storage));
  for (const BalanceCase& c : kBalanceCases) {
    problems.push_back(balance_loss_forward(c, storage));
    problems.push_back(balance_loss_backward(c, storage));
  }
  return problems;
}

}  // namespace caravan::testing
