#include "plugins/device/cuda/attention/attention_cudnn.hpp"

#include <algorithm>
#include <limits>

#include "plugins/device/cuda/attention/cudnn_graph.hpp"

// The graphs that cuDNN's engines for Hopper know; in another order of operations they are not recognised.
// Source: cuDNN frontend, composite nodes of scaled dot product attention. The names of dimensions there:
// b sequences, h heads, s rows, d width.
namespace caravan::cuda {
namespace {

constexpr std::size_t kMostPlans = 256;
constexpr cudnnDataType_t kFloat = CUDNN_DATA_FLOAT, kBf16 = CUDNN_DATA_BFLOAT16;

/// Layouts of one shape.
struct Layouts {
  std::int64_t b, h, g, s, d;
  explicit Layouts(const AttentionArgs& a)
      : b(a.batch), h(a.heads), g(a.kv_heads), s(a.queries), d(a.width) {}

  CudnnLayout queries(const HeadRows& r) const { return {kBf16, {b, h, s, d}, {r.batch, r.head, r.row, 1}}; }
  CudnnLayout keys(const HeadRows& r) const { return {kBf16, {b, g, s, d}, {r.batch, r.head, r.row, 1}}; }
  CudnnLayout keys_transposed(const HeadRows& r) const {
    return {kBf16, {b, g, d, s}, {r.batch, r.head, 1, r.row}};
  }
  CudnnLayout scores(cudnnDataType_t type) const { return {type, {b, h, s, s}, {h * s * s, s * s, s, 1}}; }
  CudnnLayout scores_transposed() const { return {kBf16, {b, h, s, s}, {h * s * s, s * s, 1, s}}; }
  CudnnLayout rows() const { return {kFloat, {b, h, s, 1}, {h * s, s, 1, 1}}; }
  CudnnLayout stats(const AttentionArgs& a) const {
    return {kFloat, {b, h, s, 1}, {a.lse_batch, a.lse_head, 1, 1}};
  }
  CudnnLayout dense(cudnnDataType_t type) const { return {type, {b, h, s, d}, {h * s * d, s * d, d, 1}}; }
};

/// scores where the key is not after the query, −∞ elsewhere.
CudnnTensor causal(CudnnGraph& graph, const Layouts& l, CudnnTensor scores, CudnnTensor minus_infinity) {
  const CudnnTensor row = graph.between(l.scores(CUDNN_DATA_INT32)),
                    column = graph.between(l.scores(CUDNN_DATA_INT32)),
                    seen = graph.between(l.scores(CUDNN_DATA_BOOLEAN)),
                    masked = graph.between(l.scores(kFloat));
  graph.index(scores, 2, row);
  graph.index(scores, 3, column);
  graph.pointwise(CUDNN_POINTWISE_CMP_GE, {row, column}, seen);
  graph.pointwise(CUDNN_POINTWISE_BINARY_SELECT, {scores, minus_infinity, seen}, masked);
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
  const CudnnTensor all_heads = graph.between(l.dense(kBf16));
  graph.matrix_product(transposed, rows, all_heads);
  graph.reduce(CUDNN_REDUCE_TENSOR_ADD, all_heads, to);
}

const float kMinusInfinity = -std::numeric_limits<float>::infinity();
const float kOne = 1;

template <class Key>
Key key_of(const AttentionArgs& a) {
  Key key{a.batch, a.heads, a.kv_heads, a.queries, a.width, a.lse_batch, a.lse_head};
  std::size_t at = 7;
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
  CudnnTensor q, k, v, out, stats, scale, minus_infinity;
  CudnnPlan plan;

  Forward(const AttentionArgs& a, cudnnHandle_t handle) : plan(build(a, handle)) {}

  CudnnPlan build(const AttentionArgs& a, cudnnHandle_t handle) {
    const Layouts l(a);
    q = graph.tensor(l.queries(a.q)), k = graph.tensor(l.keys_transposed(a.k));
    v = graph.tensor(l.keys(a.v)), out = graph.tensor(l.queries(a.out)), stats = graph.tensor(l.stats(a));
    scale = graph.constant(), minus_infinity = graph.constant();
    const CudnnTensor scores = causal(graph, l, scaled_product(graph, l, q, k, scale), minus_infinity);
    graph.matrix_product(softmax(graph, l, scores, stats), v, out);
    return graph.plan(handle);
  }
};

struct CudnnAttention::Backward {
  CudnnGraph graph;
  CudnnTensor q, k, v, out, dout, stats, dq, dk, dv, scale, minus_infinity, one, delta, dq_sums;
  CudnnPlan plan;

  Backward(const AttentionArgs& a, cudnnHandle_t handle, Determinism determinism)
      : plan(build(a, handle, determinism)) {}

  void add_tensors(const AttentionArgs& a, const Layouts& l) {
    q = graph.tensor(l.queries(a.q)), k = graph.tensor(l.keys_transposed(a.k));
    v = graph.tensor(l.keys_transposed(a.v)), out = graph.tensor(l.queries(a.out));
    dout = graph.tensor(l.queries(a.dout)), stats = graph.tensor(l.stats(a));
    dq = graph.tensor(l.queries(a.dq)), dk = graph.tensor(l.keys(a.dk)), dv = graph.tensor(l.keys(a.dv));
    scale = graph.constant(), minus_infinity = graph.constant(), one = graph.constant();
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

  CudnnTensor add_probabilities(const Layouts& l) {
    const CudnnTensor shifted = graph.between(l.scores(kFloat));
    graph.pointwise(CUDNN_POINTWISE_SUB, {scaled_product(graph, l, q, k, scale), stats}, shifted);
    const CudnnTensor masked = causal(graph, l, shifted, minus_infinity);
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
    graph.pointwise(CUDNN_POINTWISE_MUL, {weighted, scale}, scaled);
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
    const CudnnTensor probabilities = add_probabilities(l);
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

void CudnnAttention::forward(const AttentionArgs& a) {
  const Forward& f =
      plan_of(forwards_, key_of<Key>(a), [&] { return std::make_unique<Forward>(a, handle_); });
  const std::size_t bytes = f.plan.scratch_bytes();
  context_.workspace().begin(bytes, 1);
  auto* scratch = context_.workspace().take<char>(bytes);
  f.plan.run(handle_,
             {{f.q, a.q.data},
              {f.k, a.k.data},
              {f.v, a.v.data},
              {f.out, a.out.data},
              {f.stats, a.lse},
              {f.scale, &a.scale},
              {f.minus_infinity, &kMinusInfinity}},
             scratch);
}

void CudnnAttention::backward(const AttentionArgs& a) {
  const Determinism determinism = context_.determinism();
  Key key = key_of<Key>(a);
  key.back() = static_cast<std::int64_t>(determinism);
  const Backward& f =
      plan_of(backwards_, key, [&] { return std::make_unique<Backward>(a, handle_, determinism); });
  const auto rows = static_cast<std::size_t>(a.batch) * static_cast<std::size_t>(a.heads) *
                    static_cast<std::size_t>(a.queries);
  const std::size_t bytes = f.plan.scratch_bytes(),
                    sums = f.dq_sums.id ? rows * static_cast<std::size_t>(a.width) : 0;
  Workspace& workspace = context_.workspace();
  workspace.begin(bytes + (rows + sums) * sizeof(float), 3);
  std::vector<CudnnPlan::Pointer> pointers = {{f.q, a.q.data},
                                              {f.k, a.k.data},
                                              {f.v, a.v.data},
                                              {f.out, a.out.data},
                                              {f.dout, a.dout.data},
                                              {f.stats, a.lse},
                                              {f.dq, a.dq.data},
                                              {f.dk, a.dk.data},
                                              {f.dv, a.dv.data},
                                              {f.scale, &a.scale},
                                              {f.minus_infinity, &kMinusInfinity},
                                              {f.one, &kOne},
                                              {f.delta, workspace.take<float>(rows)}};
  if (f.dq_sums.id) pointers.push_back({f.dq_sums, workspace.take<float>(sums)});
  f.plan.run(handle_, pointers, workspace.take<char>(bytes));
}

}  // namespace caravan::cuda
