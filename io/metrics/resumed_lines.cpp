#include "io/metrics/resumed_lines.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <span>

#include "caravan/check.hpp"
#include "caravan/log.hpp"
#include "io/files/lines.hpp"
#include "io/files/pending_file.hpp"
#include "io/metrics/json_lines_record.hpp"

namespace caravan::io {
namespace {

/// How many bytes at the front are the head and whole lines of steps before `first_step`.
std::uint64_t bytes_before(const std::string& path, const std::string& head, std::int64_t first_step,
                           const StepOfLine& step_of) {
  if (!std::filesystem::exists(path)) return 0;
  std::uint64_t kept = 0;
  std::size_t number = 0;
  for_each_line(path, kMostRecordBytes, [&](std::string_view line, std::uint64_t begin) {
    ++number;
    const bool is_head = number == 1 && !head.empty();
    const auto step = is_head ? std::nullopt : step_of(line);
    CARAVAN_CHECK(
        is_head ? line == std::string_view(head).substr(0, head.size() - 1) : step.has_value(), IoError,
        fmt::format(
            "{}:{} is no step record (the file was not written by caravan, or is damaged). Move it away?",
            path, number));
    if (step && *step >= first_step) return false;
    kept = begin + line.size() + 1;
    return true;
  });
  return kept;
}

/// Whole lines behind `begin`.
std::string lines_behind(const std::string& path, std::uint64_t begin) {
  const File file(path, O_RDONLY);
  const std::uint64_t size = file.size();
  if (size <= begin) return "";
  std::string text(size - begin, '\0');
  file.read_at(begin, std::as_writable_bytes(std::span(text)));
  text.resize(text.rfind('\n') + 1);
  return text;
}

}  // namespace

std::string former_of(const std::string& path) {
  const std::filesystem::path whole(path);
  return (whole.parent_path() / (whole.stem().string() + ".former" + whole.extension().string())).string();
}

ResumedLines::ResumedLines(std::string path, std::string head, std::int64_t first_step,
                           const StepOfLine& step_of)
    : path_(std::move(path)),
      head_(std::move(head)),
      file_(std::in_place, path_, bytes_before(path_, head_, first_step, step_of)) {}

void ResumedLines::warn(const std::string& why) {
  if (!warned_) log_warning(fmt::format("{}; records are lost until it can be written", why));
  warned_ = true;
}

bool ResumedLines::move_former() {
  try {
    const std::string lines = lines_behind(path_, file_->good_bytes());
    if (lines.empty()) return true;
    const std::string former = former_of(path_);
    File file(former, O_WRONLY | O_CREAT | O_APPEND);
    file.write(std::as_bytes(std::span(head_)));
    file.write(std::as_bytes(std::span(lines)));
    file.sync();
    log_info(fmt::format("{} records of {}, whose steps are done again, are in {} now",
                         std::count(lines.begin(), lines.end(), '\n'), path_, former));
    return true;
  } catch (const IoError& error) {
    warn(error.message());
    return false;
  }
}

void ResumedLines::append(std::string_view line) {
  if (!moved_) moved_ = move_former();
  if (!moved_) return;
  if (file_->good_bytes() == 0 && !head_.empty()) return file_->append(head_ + std::string(line));
  file_->append(line);
}

void ResumedLines::retire() {
  if (!moved_) moved_ = move_former();
  if (moved_) file_->cut();
}

bool ResumedLines::rewrite(std::string head,
                           const std::function<std::string(std::string_view line)>& change) {
  if (!moved_) moved_ = move_former();
  if (!moved_) return false;
  try {
    std::string text = head;
    for_each_line(path_, kMostRecordBytes, [&](std::string_view line, std::uint64_t begin) {
      if (begin >= file_->good_bytes()) return false;
      if (begin > 0) text += change(line);
      return true;
    });
    write_output(path_, text, NamedBy::us);
    head_ = std::move(head);
    file_.emplace(path_, text.size());
    return true;
  } catch (const IoError& error) {
    warn(error.message());
    return false;
  }
}

}  // namespace caravan::io
