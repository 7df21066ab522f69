#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <vector>

#include "caravan/data.hpp"
#include "caravan/error.hpp"
#include "caravan/host.hpp"
#include "caravan/log.hpp"
#include "caravan/ops.hpp"
#include "jobs/check/check_component.hpp"

namespace caravan::jobs {
namespace {

constexpr std::int64_t kSamples = 24, kFewSamples = 4;
/// Of the samples that are tried: what a slow source reads in seconds.
constexpr std::int64_t kTokens = 1 << 20;

struct Read {
  std::vector<std::int32_t> tokens, labels, documents;
  bool operator==(const Read&) const = default;
};

Read read(DataSource& source, std::int64_t index) {
  const auto length = static_cast<std::size_t>(source.sequence_length());
  Read sample{std::vector<std::int32_t>(length, -7), std::vector<std::int32_t>(length, -7), {}};
  if (source.has_documents()) sample.documents.assign(length, -7);
  source.read(index, {sample.tokens, sample.labels, sample.documents});
  return sample;
}

std::vector<Read> read_all(DataSource& source, std::int64_t samples) {
  std::vector<Read> all;
  for (std::int64_t index = 0; index < samples; ++index) all.push_back(read(source, index));
  return all;
}

/// The number of the first sample that differs; nothing when none does.
std::string first_difference(const std::vector<Read>& a, const std::vector<Read>& b) {
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (a[i] != b[i]) return fmt::format("sample {} is another", i);
  }
  return "";
}

/// What launchers tell processes, for as long as this lives: a source that asks them depends on the rank.
class AsRank {
 public:
  AsRank(int rank, int ranks) {
    for (const char* variable : kRank) ::setenv(variable, std::to_string(rank).c_str(), 1);
    for (const char* variable : kRanks) ::setenv(variable, std::to_string(ranks).c_str(), 1);
  }
  ~AsRank() {
    for (const char* variable : kRank) ::unsetenv(variable);
    for (const char* variable : kRanks) ::unsetenv(variable);
  }
  AsRank(const AsRank&) = delete;
  AsRank& operator=(const AsRank&) = delete;

 private:
  static constexpr std::array kRank{"OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK", "SLURM_PROCID"};
  static constexpr std::array kRanks{"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_NTASKS"};
};

class DataCheck {
 public:
  DataCheck(Registry& registry, const std::string& name, const Config& keys, Findings& findings)
      : registry_(registry), name_(name), keys_(keys), findings_(findings) {
    if (!keys_.has("sequence_length")) keys_.set("sequence_length", "32");
    if (!keys_.has("seed")) keys_.set("seed", "1");
  }

  void run() {
    const auto source = open(keys_);
    const std::int64_t fit = std::clamp(kTokens / source->sequence_length(), kFewSamples, kSamples);
    samples_ = source->samples() > 0 ? std::min(fit, source->samples()) : fit;
    if (fit < kSamples)
      log_info(fmt::format("{} samples of {} tokens are read again and again, in place of {}", samples_,
                           source->sequence_length(), kSamples));
    const std::vector<Read> all = read_all(*source, samples_);
    same("the same sample twice", all, read_all(*source, samples_));
    check_order(*source, all);
    same("another instance, as after a restart", all, read_all(*open(keys_), samples_));
    check_ranks(all);
    check_values(*source, all);
    check_end(*source);
    check_identity(*source);
  }

 private:
  Made<DataSource> open(const Config& keys) {
    return registry_.create<DataSource>(name_, Host::of(registry_), keys);
  }

  void same(std::string_view claim, const std::vector<Read>& first, const std::vector<Read>& second) {
    const std::string difference = first_difference(first, second);
    findings_.add(difference.empty(), claim, difference);
  }

  /// Backwards, and the odd after the even: a sample depends on its number alone.
  void check_order(DataSource& source, const std::vector<Read>& all) {
    std::vector<Read> again(all.size());
    for (std::size_t i = all.size(); i-- > 0;) again[i] = read(source, static_cast<std::int64_t>(i));
    same("samples in another order", all, again);
    for (const std::size_t odd : {0U, 1U})
      for (std::size_t i = odd; i < all.size(); i += 2) again[i] = read(source, static_cast<std::int64_t>(i));
    same("every second sample, as one of two data ranks reads", all, again);
  }

  void check_ranks(const std::vector<Read>& all) {
    constexpr int kRanks = 4;
    for (const int rank : {1, 3}) {
      const AsRank place(rank, kRanks);
      same(fmt::format("the same samples on rank {} of {}", rank, kRanks), all,
           read_all(*open(keys_), samples_));
    }
  }

  void check_values(DataSource& source, const std::vector<Read>& all) {
    const std::int64_t vocabulary = source.vocab_size();
    const auto is_token = [&](std::int32_t token) { return token >= 0 && token < vocabulary; };
    const auto is_label = [&](std::int32_t label) { return label == kIgnoredLabel || is_token(label); };
    bool tokens = true, labels = true, documents = true;
    for (const Read& sample : all) {
      tokens = tokens && std::ranges::all_of(sample.tokens, is_token);
      labels = labels && std::ranges::all_of(sample.labels, is_label);
      documents = documents && std::ranges::is_sorted(sample.documents);
    }
    findings_.add(tokens, "tokens are ids of the vocabulary",
                  fmt::format("not all are in [0, {})", vocabulary));
    findings_.add(labels, "labels are ids, or -100",
                  fmt::format("not all are -100 or in [0, {})", vocabulary));
    if (source.has_documents()) findings_.add(documents, "documents are ascending", "they are not");
  }

  void check_end(DataSource& source) {
    const std::int64_t end = source.samples();
    if (end == 0) return findings_.leave_out("a sample beyond the first pass", "the source is endless");
    std::string failed;
    try {
      read(source, end);
    } catch (const IoError& error) {
      failed = error.message();
    }
    if (source.repeats())
      findings_.add(failed.empty(), "a sample beyond the first pass is of the next", failed);
    else
      findings_.add(!failed.empty(), "no sample beyond the only pass", "one is read without an IoError");
  }

  void check_identity(DataSource& source) {
    const DataIdentity known = source.identity();
    if (known.digest.empty())
      return findings_.leave_out("the digest is the data's alone",
                                 "the source gives none: other data at the same path "
                                 "will not be noticed when a run goes on");
    Config other = keys_;
    other.set("seed", "4711");
    other.set("sequence_length", std::to_string(source.sequence_length() / 2 + 1));
    try {
      findings_.add(open(other)->identity().digest == known.digest, "the digest is the data's alone",
                    "another seed or sequence length changes it");
    } catch (const Error& refused) {
      findings_.leave_out("the digest is the data's alone",
                          "another length is refused: " + refused.message());
    }
  }

  Registry& registry_;
  std::string name_;
  Config keys_;
  Findings& findings_;
  std::int64_t samples_ = 0;
};

}  // namespace

void check_data(const CheckRequest& request, Findings& findings) {
  DataCheck(request.registry, request.name, request.keys, findings).run();
}

}  // namespace caravan::jobs
