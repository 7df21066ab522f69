#include "jobs/identity/run_identity.hpp"

#include <fmt/format.h>

#include "caravan/check.hpp"
#include "io/checkpoint/reader.hpp"
#include "jobs/identity/agree.hpp"
#include "jobs/identity/job_changes.hpp"
#include "jobs/job/job.hpp"

namespace caravan::jobs {
namespace {

constexpr const char* kDigest = "/state/data_digest";
constexpr const char* kTokens = "/state/data_tokens";
constexpr const char* kTokenizer = "/state/tokenizer_digest";
constexpr const char* kDevice = "/state/device";
constexpr const char* kPrecision = "/state/precision";

void add_text(std::vector<std::pair<std::string, io::CheckpointValue>>& values, const char* name,
              const std::string& text) {
  if (!text.empty()) values.emplace_back(name, text);
}

std::string text_in(const io::CheckpointReader& reader, const char* name) {
  if (!reader.has_attribute(name)) return "";
  const io::CheckpointValue value = reader.attribute(name);
  const auto* text = std::get_if<std::string>(&value);
  return text ? *text : "";
}

std::int64_t number_in(const io::CheckpointReader& reader, const char* name) {
  if (!reader.has_attribute(name)) return 0;
  const io::CheckpointValue value = reader.attribute(name);
  const auto* number = std::get_if<std::int64_t>(&value);
  return number ? *number : 0;
}

}  // namespace

std::vector<std::pair<std::string, io::CheckpointValue>> RunIdentity::values() const {
  std::vector<std::pair<std::string, io::CheckpointValue>> values;
  add_text(values, kDigest, data.digest);
  add_text(values, kTokenizer, data.tokenizer_digest);
  add_text(values, kDevice, device);
  add_text(values, kPrecision, precision);
  if (data.tokens > 0) values.emplace_back(kTokens, data.tokens);
  return values;
}

Config RunIdentity::facts() const {
  Config facts = Config::map(), of_data = Config::map(), of_train = Config::map();
  if (!data.digest.empty()) of_data.set("digest", data.digest);
  if (data.tokens > 0) of_data.set("tokens", std::to_string(data.tokens));
  if (!data.tokenizer_digest.empty()) of_data.set("tokenizer_digest", data.tokenizer_digest);
  if (!precision.empty()) of_train.set("precision", precision);
  facts.set("data", of_data);
  facts.set("train", of_train);
  if (!device.empty()) facts.set("device", device);
  return facts;
}

RunIdentity identify(const Device& device, DType compute, const DataSource& source, Communicator& world) {
  return {agree_on_data(world, source, "training data"), std::string(device.name()),
          compute == DType::bf16 ? "bf16" : "fp32"};
}

void check_validation_tokenizer(const Job& job, const DataIdentity& training,
                                const DataIdentity& validation) {
  const std::string &mine = training.tokenizer_digest, &other = validation.tokenizer_digest;
  if (mine.empty() || other.empty() || mine == other) return;
  CARAVAN_CHECK(
      is_allowed(job.checkpoint.allow_changes, "data.tokenizer_digest"), IoError,
      fmt::format("the validation data was made with the tokenizer {}, the training data with {} (the same "
                  "numbers would be other words). Prepare it with the run's tokenizer, or name "
                  "data.tokenizer_digest in checkpoint.allow_changes?",
                  other, mine));
}

RunIdentity stored_identity(const io::CheckpointReader& reader) {
  RunIdentity identity;
  identity.data.digest = text_in(reader, kDigest);
  identity.data.tokenizer_digest = text_in(reader, kTokenizer);
  identity.data.tokens = number_in(reader, kTokens);
  identity.device = text_in(reader, kDevice);
  identity.precision = text_in(reader, kPrecision);
  return identity;
}

}  // namespace caravan::jobs
