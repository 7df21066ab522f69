#include "jobs/identity/run_folder.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <span>

#include "caravan/check.hpp"
#include "io/checkpoint/layout.hpp"
#include "io/files/file.hpp"
#include "io/files/pending_file.hpp"
#include "io/files/replace_text.hpp"
#include "io/text/tokenizer_files.hpp"

namespace caravan::jobs {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kMostBytes = std::uint64_t{256} << 20;  // of a tokenizer's file

bool holds(const fs::path& file, const std::string& bytes) {
  std::error_code ignored;
  return fs::is_regular_file(file, ignored) && fs::file_size(file, ignored) == bytes.size() &&
         io::read_text(file.string(), bytes.size()) == bytes;
}

/// Beside and renamed, so that the links which older checkpoints hold keep their bytes.
void write_whole(const fs::path& file, const std::string& bytes) {
  if (holds(file, bytes)) return;
  io::write_output(file.string(), bytes, io::NamedBy::us);
}

io::TokenizerFiles tokenizer_of(const DataIdentity& data) {
  io::TokenizerFiles tokenizer = io::read_tokenizer_files(data.tokenizer);
  CARAVAN_CHECK(
      tokenizer.digest == data.tokenizer_digest, IoError,
      fmt::format(
          "{} has the digest {} (the data was made with the tokenizer {}). Prepare the data again, or "
          "restore its tokenizer?",
          data.tokenizer, tokenizer.digest, data.tokenizer_digest));
  return tokenizer;
}

void write_tokenizer(const DataIdentity& data, const fs::path& run) {
  if (data.tokenizer.empty()) return;
  const io::TokenizerFiles tokenizer = tokenizer_of(data);
  for (const char* name : kTokenizerFiles) {  // a former tokenizer's, whose change the job allows
    const auto is_kept = [&](const auto& file) { return file.first == name; };
    std::error_code ignored;
    if (std::ranges::none_of(tokenizer.files, is_kept)) fs::remove(run / name, ignored);
  }
  for (const auto& [name, bytes] : tokenizer.files) write_whole(run / name, bytes);
}

void copy_whole(const fs::path& from, const fs::path& to) {
  const std::string bytes = io::read_text(from.string(), kMostBytes);
  io::File file(to.string(), O_WRONLY | O_CREAT | O_EXCL);
  file.write(std::as_bytes(std::span(bytes)));
  file.sync();
}

}  // namespace

void check_tokenizer_of_data(const DataIdentity& data) {
  if (!data.tokenizer.empty()) tokenizer_of(data);
}

void write_run_folder(const Job& job, const DataIdentity& data) {
  write_tokenizer(data, job.output);
  io::replace_text((fs::path(job.output) / "job.yaml").string(), job.resolved.to_yaml());
}

void add_tokenizer(const std::string& run, const std::string& checkpoint) {
  for (const char* name : kTokenizerFiles) {
    const fs::path from = fs::path(run) / name, to = fs::path(checkpoint) / name;
    if (!fs::exists(from)) continue;
    if (::link(from.c_str(), to.c_str()) != 0) copy_whole(from, to);
  }
}

std::string run_of_checkpoint(const std::string& checkpoint) {
  const fs::path step = fs::absolute(checkpoint).lexically_normal();
  const fs::path folder = (step.filename().empty() ? step.parent_path() : step).parent_path();
  const bool is_of_run = folder.filename() == "checkpoints" || folder.filename() == "export";
  return is_of_run ? folder.parent_path().string() : "";
}

}  // namespace caravan::jobs
