#include "plugins/device/cuda/attention/attention_cudnn.hpp"

#include <algorithm>
#include <limits>

#include "plugins/device/cuda/attention/attention_past.hpp"
#include "plugins/device/cuda/attention/cudnn_graph.hpp"

// The graphs that cuDNN's engines for Hopper know; in another order of operations they are not recognised.
// Source: cuDNN frontend, composite nodes of scaled dot product attention. The names of dimensions there:
// b sequences, h heads, s queries, t keys, d width.
namespace caravan::cuda {
namespace {

constexpr std::size_t kMostPlans = 256;
constexpr cudnnDataType_t kFloat = CUDNN_DATA_FLOAT, kBf16 = CUDNN_DATA_BFLOAT16;

/// Layouts of one shape.
struct Layouts {
  std::int64_t b, h, g, s, t, d;
  explicit Layouts(const AttentionArgs& a)
      : b(a.batch), h(a.heads), g(a.kv_heads), s(a.queries), t(a.keys), d(a.width) {}

  CudnnLayout queries(const HeadRows& r) const { return {kBf16, {b, h, s, d}, {r.batch, r.head, r.row, 1}}; }
  CudnnLayout keys(const HeadRows& r) const { return {kBf16, {b, g, t, d}, {r.batch, r.head, r.row, 1}}; }
  CudnnLayout keys_transposed(const HeadRows& r) const {
    return {kBf16, {b, g, d, t}, {r.batch, r.head, 1, r.row}};
  }
  CudnnLayout scores(cudnnDataType_t type) const { return {type, {b, h, s, t}, {h * s * t, s * t, t, 1}}; }
  CudnnLayout scores_transposed() const { return {kBf16, {b, h, t, s}, {h * s * t, s * t, 1, t}}; }
  CudnnLayout rows() const { return {kFloat, {b, h, s, 1}, {h * s, s, 1, 1}}; }
  CudnnLayout stats(const AttentionArgs& a) const {
    return {kFloat, {b, h, s, 1}, {a.lse_batch, a.lse_head, 1, 1}};
  }
  CudnnLayout dense(cudnnDataType_t type) const { return {type, {b, h, s, d}, {h * s * d, s * d, d, 1}}; }
  CudnnLayout dense_keys() const { return {kBf16, {b, h, t, d}, {h * t * d, t * d, d, 1}}; }
};

/// What graphs are told that is no tensor.
struct Constants {
  CudnnTensor scale, minus_infinity, keys, queries;
  explicit Constants(CudnnGraph& graph)
      : scale(graph.constant(kFloat)),
        minus_infinity(graph.constant(kFloat)),
        keys(graph.constant(CUDNN_DATA_INT32)),
        queries(graph.constant(CUDNN_DATA_INT32)) {}
};

/// Their values, for as long as a plan is begun.
struct ConstantValues {
  float scale, minus_infinity = -std::numeric_limits<float>::infinity();
  std::int32_t keys, queries;
  bool masks, places;  ///< what the graph asks for: a mask; the key that each query stands at
  explicit ConstantValues(const AttentionArgs& a)
      : scale(a.scale),
        keys(a.keys),
        queries(a.queries),
        masks(!a.is_past),
        places(masks && keys != queries) {}

  void add_to(std::vector<CudnnPlan::Pointer>& pointers, const Constants& constants) const {
    pointers.push_back({constants.scale, &scale});
    if (masks) pointers.push_back({constants.minus_infinity, &minus_infinity});
    if (!places) return;
    pointers.insert(pointers.end(), {{constants.keys, &keys}, {constants.queries, &queries}});
  }
};

/// The key that each query stands at: the last query stands at the last key.
CudnnTensor places(CudnnGraph& graph, const Layouts& l, CudnnTensor scores, const Constants& constants) {
  const CudnnLayout integers = l.scores(CUDNN_DATA_INT32);
  const CudnnTensor row = graph.between(integers);
  graph.index(scores, 2, row);
  if (l.s == l.t) return row;
  const CudnnTensor with_keys = graph.between(integers), place = graph.between(integers);
  graph.integers(CUDNN_POINTWISE_ADD, {row, constants.keys}, with_keys);
  graph.integers(CUDNN_POINTWISE_SUB, {with_keys, constants.queries}, place);
  return place;
}

/// scores where the key is not after the query, −∞ elsewhere; of keys before all queries the scores.
CudnnTensor causal(CudnnGraph& graph, const Layouts& l, CudnnTensor scores, const Constants& constants) {
  const CudnnTensor row = places(graph, l, scores, constants),
                    column = graph.between(l.scores(CUDNN_DATA_INT32)),
                    seen = graph.between(l.scores(CUDNN_DATA_BOOLEAN)),
                    masked = graph.between(l.scores(kFloat));
  graph.index(scores, 3, column);
  graph.pointwise(CUDNN_POINTWISE_CMP_GE, {row, column}, seen);
  graph.pointwise(CUDNN_POINTWISE_BINARY_SELECT, {scores, constants.minus_infinity, seen}, masked);
  return masked;
}

CudnnTensor scaled_product(CudnnGraph& graph, const Layouts& l, CudnnTensor q, CudnnTensor k,
                           CudnnTensor scale) {
  const CudnnTensor product = graph.between(l.scores(kFloat)), scaled = graph.between(l.scores(kFloat));
  graph.matrix_product(q, k, product);
  graph.pointwise(CUDNN_POINTWISE_MUL, {product, scale}, scaled);
  return scaled;
}

/// softmax over the last axis in bf16; `stats` becomes ln Σ exp.
CudnnTensor softmax(CudnnGraph& graph, const Layouts& l, CudnnTensor scores, CudnnTensor stats) {
  const CudnnTensor largest = graph.between(l.rows()), shifted = graph.between(l.scores(kFloat)),
                    exponentials = graph.between(l.scores(kFloat)), sum = graph.between(l.rows()),
                    logarithm = graph.between(l.rows()), probabilities = graph.between(l.scores(kBf16));
  graph.reduce(CUDNN_REDUCE_TENSOR_MAX, scores, largest);
  graph.pointwise(CUDNN_POINTWISE_SUB, {scores, largest}, shifted);
  graph.pointwise(CUDNN_POINTWISE_EXP, {shifted}, exponentials);
  graph.reduce(CUDNN_REDUCE_TENSOR_ADD, exponentials, sum);
  graph.pointwise(CUDNN_POINTWISE_LOG, {sum}, logarithm);
  graph.pointwise(CUDNN_POINTWISE_ADD, {largest, logarithm}, stats);
  graph.pointwise(CUDNN_POINTWISE_DIV, {exponentials, sum}, probabilities);
  return probabilities;
}

/// to = weightsᵀ·rows, summed over the query heads of a key head.
void add_key_gradient(CudnnGraph& graph, const Layouts& l, CudnnTensor weights, CudnnTensor rows,
                      CudnnTensor to) {
  const CudnnTensor transposed = graph.between(l.scores_transposed());
  graph.reshape(weights, transposed);
  if (l.h == l.g) return graph.matrix_product(transposed, rows, to);
  const CudnnTensor all_heads = graph.between(l.dense_keys());
  graph.matrix_product(transposed, rows, all_heads);
  graph.reduce(CUDNN_REDUCE_TENSOR_ADD, all_heads, to);
}

const float kOne = 1;

template <class Key>
Key key_of(const AttentionArgs& a) {
  Key key{a.batch, a.heads, a.kv_heads, a.queries, a.keys, a.width, a.lse_batch, a.lse_head, a.is_past};
  std::size_t at = 9;
  for (const HeadRows& r : {a.q, a.k, a.v, a.out, a.dout, a.dq, a.dk, a.dv}) {
    for (const std::int64_t stride : {r.batch, r.row, r.head}) key[at++] = stride;
  }
  return key;
}

template <class Plans, class Key, class Make>
auto& plan_of(Plans& plans, const Key& key, const Make& make) {
  if (const auto found = plans.find(key); found != plans.end()) return *found->second;
  if (plans.size() >= kMostPlans) plans.clear();
  return *(plans[key] = make());
}

}  // namespace

struct CudnnAttention::Forward {
  CudnnGraph graph;
  Constants constants{graph};
  CudnnTensor q, k, v, out, stats;
  CudnnPlan plan;

  Forward(const AttentionArgs& a, cudnnHandle_t handle) : plan(build(a, handle)) {}

  CudnnPlan build(const AttentionArgs& a, cudnnHandle_t handle) {
    const Layouts l(a);
    q = graph.tensor(l.queries(a.q)), k = graph.tensor(l.keys_transposed(a.k));
    v = graph.tensor(l.keys(a.v)), out = graph.tensor(l.queries(a.out)), stats = graph.tensor(l.stats(a));
    const CudnnTensor scaled = scaled_product(graph, l, q, k, constants.scale);
    const CudnnTensor scores = a.is_past ? scaled : causal(graph, l, scaled, constants);
    graph.matrix_product(softmax(graph, l, scores, stats), v, out);
    return graph.plan(handle);
  }
};

struct CudnnAttention::Backward {
  CudnnGraph graph;
  Constants constants{graph};
  CudnnTensor one{graph.constant(kFloat)};
  CudnnTensor q, k, v, out, dout, stats, dq, dk, dv, delta, dq_sums;
  CudnnPlan plan;

  Backward(const AttentionArgs& a, cudnnHandle_t handle, Determinism determinism)
      : plan(build(a, handle, determinism)) {}

  void add_tensors(const AttentionArgs& a, const Layouts& l) {
    q = graph.tensor(l.queries(a.q)), k = graph.tensor(l.keys_transposed(a.k));
    v = graph.tensor(l.keys_transposed(a.v)), out = graph.tensor(l.queries(a.out));
    dout = graph.tensor(l.queries(a.dout)), stats = graph.tensor(l.stats(a));
    dq = graph.tensor(l.queries(a.dq)), dk = graph.tensor(l.keys(a.dk)), dv = graph.tensor(l.keys(a.dv));
    delta = graph.tensor(l.rows());
  }

  void add_delta(const Layouts& l) {
    CudnnLayout product = l.dense(kFloat);
    product.strides[2] = l.h * l.d;
    const CudnnTensor products = graph.between(product), sums = graph.between(l.rows());
    graph.pointwise(CUDNN_POINTWISE_MUL, {dout, out}, products);
    graph.reduce(CUDNN_REDUCE_TENSOR_ADD, products, sums);
    graph.pointwise(CUDNN_POINTWISE_MUL, {sums, one}, delta);
  }

  CudnnTensor add_probabilities(const AttentionArgs& a, const Layouts& l) {
    const CudnnTensor shifted = graph.between(l.scores(kFloat));
    graph.pointwise(CUDNN_POINTWISE_SUB, {scaled_product(graph, l, q, k, constants.scale), stats}, shifted);
    const CudnnTensor masked = a.is_past ? shifted : causal(graph, l, shifted, constants);
    const CudnnTensor probabilities = graph.between(l.scores(kFloat));
    graph.pointwise(CUDNN_POINTWISE_EXP, {masked}, probabilities);
    return probabilities;
  }

  CudnnTensor add_dscores(const Layouts& l, CudnnTensor probabilities) {
    const CudnnTensor dp = graph.between(l.scores(kFloat)), centred = graph.between(l.scores(kFloat)),
                      weighted = graph.between(l.scores(kFloat)), scaled = graph.between(l.scores(kFloat));
    graph.matrix_product(dout, v, dp);
    graph.pointwise(CUDNN_POINTWISE_SUB, {dp, delta}, centred);
    graph.pointwise(CUDNN_POINTWISE_MUL, {centred, probabilities}, weighted);
    graph.pointwise(CUDNN_POINTWISE_MUL, {weighted, constants.scale}, scaled);
    return scaled;
  }

  void add_dq(const AttentionArgs& a, const Layouts& l, CudnnTensor dscores, Determinism determinism) {
    CudnnLayout layout = l.keys(a.k);
    layout.type = kFloat;
    const CudnnTensor keys = graph.between(layout);
    graph.reshape(k, keys);
    if (determinism == Determinism::exact) return graph.matrix_product(dscores, keys, dq);
    dq_sums = graph.tensor(l.dense(kFloat));
    graph.matrix_product(dscores, keys, dq_sums);
    graph.pointwise(CUDNN_POINTWISE_IDENTITY, {dq_sums}, dq);
  }

  CudnnPlan build(const AttentionArgs& a, cudnnHandle_t handle, Determinism determinism) {
    const Layouts l(a);
    add_tensors(a, l);
    add_delta(l);
    const CudnnTensor probabilities = add_probabilities(a, l);
    add_key_gradient(graph, l, probabilities, dout, dv);
    const CudnnTensor dscores = add_dscores(l, probabilities);
    add_key_gradient(graph, l, dscores, q, dk);
    add_dq(a, l, dscores, determinism);
    return graph.plan(handle);
  }
};

CudnnAttention::CudnnAttention(Context& context) : context_(context) {
  check_cudnn(cudnnCreate(&handle_), "cudnnCreate");
  check_cudnn(cudnnSetStream(handle_, context.stream()), "cudnnSetStream");
}

CudnnAttention::~CudnnAttention() {
  forwards_.clear();
  backwards_.clear();
  cudnnDestroy(handle_);
}

void CudnnAttention::forward(const AttentionArgs& piece) {
  const PastResults past(piece);
  AttentionArgs a = past.forward_strides();
  const Forward& f =
      plan_of(forwards_, key_of<Key>(a), [&] { return std::make_unique<Forward>(a, handle_); });
  const std::size_t bytes = f.plan.scratch_bytes();
  context_.workspace().begin(bytes + past.bytes(), 3);
  auto* scratch = context_.workspace().take<char>(bytes);
  past.take_forward(a, context_.workspace());
  std::vector<CudnnPlan::Pointer> pointers = {
      {f.q, a.q.data}, {f.k, a.k.data}, {f.v, a.v.data}, {f.out, a.out.data}, {f.stats, a.lse}};
  const ConstantValues values(a);
  values.add_to(pointers, f.constants);
  f.plan.run(handle_, pointers, scratch);
  if (piece.is_past) merge_attention(context_, piece, a);
}

void CudnnAttention::backward(const AttentionArgs& piece) {
  const Determinism determinism = context_.determinism();
  const PastResults past(piece);
  AttentionArgs a = past.backward_strides();
  Key key = key_of<Key>(a);
  key.back() = static_cast<std::int64_t>(determinism);
  const Backward& f =
      plan_of(backwards_, key, [&] { return std::make_unique<Backward>(a, handle_, determinism); });
  const auto rows = static_cast<std::size_t>(a.batch) * static_cast<std::size_t>(a.heads) *
                    static_cast<std::size_t>(a.queries);
  const std::size_t bytes = f.plan.scratch_bytes(),
                    sums = f.dq_sums.id ? rows * static_cast<std::size_t>(a.width) : 0;
  Workspace& workspace = context_.workspace();
  workspace.begin(bytes + (rows + sums) * sizeof(float) + past.bytes(), 4);
  past.take_backward(a, workspace);
  std::vector<CudnnPlan::Pointer> pointers = {{f.q, a.q.data},
                                              {f.k, a.k.data},
                                              {f.v, a.v.data},
                                              {f.out, a.out.data},
                                              {f.dout, a.dout.data},
                                              {f.stats, a.lse},
                                              {f.dq, a.dq.data},
                                              {f.dk, a.dk.data},
                                              {f.dv, a.dv.data},
                                              {f.one, &kOne},
                                              {f.delta, workspace.take<float>(rows)}};
  if (f.dq_sums.id) pointers.push_back({f.dq_sums, workspace.take<float>(sums)});
  const ConstantValues values(a);
  values.add_to(pointers, f.constants);
  f.plan.run(handle_, pointers, workspace.take<char>(bytes));
  if (piece.is_past) add_dq(context_, piece, a);
}

}  // namespace caravan::cuda
