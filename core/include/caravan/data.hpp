#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace caravan {

/// One sequence, to be filled. S tokens each; borrowed.
struct Sample {
  std::span<std::int32_t> tokens;  ///< [S]
  std::span<std::int32_t> labels;  ///< [S] what follows each token; -100 is ignored
  std::span<std::int32_t>
      documents;  ///< [S] document of each token, ascending; empty when the source has no such mask
};

/// What a data set is, whichever path led to it. Stored with every checkpoint and compared when a run goes on
/// and between ranks. It must not depend on seed, split or sequence length: those are keys of the job.
/// Digests are "<algorithm>:<hexadecimal>", such as "xxh3:0123456789abcdef"; empty where nothing is known.
struct DataIdentity {
  std::string digest;            ///< of all tokens in their order, and of where documents begin
  std::string tokenizer_digest;  ///< "sha256:…" of the bytes of the tokenizer's file
  std::string tokenizer;         ///< path of that file, which is copied into the run's folder
  std::int64_t tokens = 0;       ///< of all splits together; 0: endless or not known
};

/// What the first samples of a source take of one of its parts.
struct PartUse {
  std::string name;        ///< for people; empty where the source is one part
  double share = 1;        ///< of the source's samples, in the long run
  std::int64_t taken = 0;  ///< samples, over all passes
  std::int64_t pass = 0;   ///< samples of one pass over the part; 0: endless
  bool repeats = true;     ///< whether there is a next pass
};

/// Tokens by global sample index, so that the order of training does not depend on the layout, and resuming
/// is a number. Plugin kind "data". Its schema declares `sequence_length` and `seed`, which the trainer fills
/// in.
class DataSource {
 public:
  static constexpr const char* kKind = "data";
  static constexpr std::uint32_t kKindVersion = 3;
  virtual ~DataSource() = default;

  virtual std::int64_t sequence_length() const = 0;
  /// Samples of one pass; 0: endless. Indices beyond it start the next pass, in another order when shuffled;
  /// see repeats(). Of a source with several parts: until the first of them starts its next pass.
  virtual std::int64_t samples() const = 0;
  /// Whether there is a sample for every index: one beyond samples() is of the next pass. False: reading it
  /// is an IoError, so a run that would need it is refused.
  virtual bool repeats() const { return true; }
  /// One more than the largest token id that can occur, for a check against the model.
  virtual std::int64_t vocab_size() const = 0;
  /// Whether `documents` is filled.
  virtual bool has_documents() const = 0;
  /// [any rank, any order] IoError when the data cannot be read.
  virtual void read(std::int64_t index, const Sample& sample) = 0;
  /// [any rank] Equal on all ranks. The default knows nothing, so that only the job's keys are compared.
  /// IoError when the data cannot be read.
  virtual DataIdentity identity() const { return {}; }
  /// What samples [0, `samples`) take of each part. The default is one part, all samples being its.
  virtual std::vector<PartUse> uses(std::int64_t samples) const {
    return {{"", 1, samples, this->samples(), repeats()}};
  }
};

}  // namespace caravan
