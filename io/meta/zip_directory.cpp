#include "io/meta/zip_directory.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <span>
#include <string_view>

#include "caravan/check.hpp"
#include "io/meta/little_endian.hpp"
#include "io/meta/zip_format.hpp"

namespace caravan::io {
namespace {

constexpr std::uint64_t kMostEntries = 1'000'000, kMostDirectoryBytes = std::uint64_t{256} << 20,
                        kMostCommentBytes = 0xFFFF, kMostMemberNameBytes = 1024;

class Reader {
 public:
  explicit Reader(const File& file) : file_(file), size_(file.size()) {}

  std::vector<ZipEntry> entries() {
    const Directory directory = find_directory();
    const std::string text = bytes(directory.begin, directory.bytes);
    std::vector<ZipEntry> entries;
    std::size_t at = 0;
    for (std::uint64_t i = 0; i < directory.entries; ++i) entries.push_back(entry(text, at, directory.begin));
    if (at != text.size()) refuse("its directory is longer than its entries");
    check_apart(entries);
    return entries;
  }

 private:
  struct Directory {
    std::uint64_t begin = 0, bytes = 0, entries = 0;
  };

  [[noreturn]] void refuse(const std::string& why) const {
    throw IoError(fmt::format("{} is no archive that can be read ({})", file_.path(), why));
  }

  std::string bytes(std::uint64_t begin, std::uint64_t count) const {
    if (begin > size_ || count > size_ - begin)
      refuse(fmt::format("{} bytes at {} lie outside of its {}", count, begin, size_));
    std::string text(count, '\0');
    file_.read_at(begin, std::as_writable_bytes(std::span(text)));
    return text;
  }

  /// The record at the end, before a comment of any length.
  std::uint64_t find_end() const {
    if (size_ < zip::kEndBytes) refuse("it is too short");
    const std::uint64_t tail = std::min<std::uint64_t>(size_, zip::kEndBytes + kMostCommentBytes);
    const std::string text = bytes(size_ - tail, tail);
    for (std::size_t at = text.size() - zip::kEndBytes + 1; at-- > 0;) {
      const bool is_end = number_at(text, at, 4) == zip::kEnd &&
                          number_at(text, at + 20, 2) == text.size() - at - zip::kEndBytes;
      if (is_end) return size_ - tail + at;
    }
    refuse("it has no directory: truncated?");
  }

  Directory find_directory() const {
    const std::uint64_t end = find_end();
    const std::string record = bytes(end, zip::kEndBytes);
    if (number_at(record, 4, 4) != 0) refuse("it is one of several disks");
    Directory found{number_at(record, 16, 4), number_at(record, 12, 4), number_at(record, 10, 2)};
    std::uint64_t behind = end;
    const bool is_wide =
        found.begin == zip::kNarrow || found.bytes == zip::kNarrow || found.entries == 0xFFFF;
    if (is_wide) found = find_wide_directory(end, behind);
    if (found.entries > kMostEntries || found.bytes > kMostDirectoryBytes)
      refuse(fmt::format("it claims {} entries in {} bytes", found.entries, found.bytes));
    if (found.bytes > behind || found.begin > behind - found.bytes)
      refuse("its directory reaches into the record behind it");
    return found;
  }

  Directory find_wide_directory(std::uint64_t end, std::uint64_t& behind) const {
    if (end < zip::kLocator64Bytes) refuse("it has no zip64 record");
    const std::string locator = bytes(end - zip::kLocator64Bytes, zip::kLocator64Bytes);
    if (number_at(locator, 0, 4) != zip::kLocator64) refuse("it has no zip64 record");
    behind = number_at(locator, 8, 8);
    const std::string record = bytes(behind, zip::kEnd64Bytes);
    if (number_at(record, 0, 4) != zip::kEnd64) refuse("its zip64 record is not where it should be");
    return {number_at(record, 48, 8), number_at(record, 40, 8), number_at(record, 32, 8)};
  }

  /// One of the directory's entries, at `at`, which goes on to the next.
  ZipEntry entry(const std::string& text, std::size_t& at, std::uint64_t limit) {
    if (text.size() - at < zip::kCentralBytes || number_at(text, at, 4) != zip::kCentral)
      refuse("its directory is cut or no directory");
    const std::size_t name = number_at(text, at + 28, 2), extra = number_at(text, at + 30, 2),
                      comment = number_at(text, at + 32, 2), header = at;
    if (name > kMostMemberNameBytes || text.size() - at - zip::kCentralBytes < name + extra + comment)
      refuse("an entry of its directory is cut, or its name too long");
    ZipEntry found{text.substr(at + zip::kCentralBytes, name), number_at(text, header + 42, 4),
                   number_at(text, header + 24, 4)};
    std::uint64_t packed = number_at(text, header + 20, 4);
    widen(std::string_view(text).substr(at + zip::kCentralBytes + name, extra), found, packed);
    if ((number_at(text, header + 8, 2) & 1) != 0 || number_at(text, header + 10, 2) != 0 ||
        packed != found.bytes)
      refuse(fmt::format("{} is compressed or encrypted", found.name));
    at += zip::kCentralBytes + name + extra + comment;
    place(found, limit);
    if (!names_.insert(found.name).second) refuse(fmt::format("{} stands in it twice", found.name));
    return found;
  }

  /// Numbers that did not fit stand in the zip64 field, in a fixed order.
  void widen(std::string_view extra, ZipEntry& entry, std::uint64_t& packed) const {
    while (extra.size() >= 4) {
      const std::size_t bytes = number_at(extra, 2, 2);
      if (bytes > extra.size() - 4) refuse("an extra field is cut");
      std::string_view field = extra.substr(4, bytes);
      if (number_at(extra, 0, 2) == zip::kField64)
        for (std::uint64_t* number : {&entry.bytes, &packed, &entry.begin}) widen(field, *number);
      extra.remove_prefix(4 + bytes);
    }
    if (entry.bytes == zip::kNarrow || packed == zip::kNarrow || entry.begin == zip::kNarrow)
      refuse(fmt::format("{} lacks its zip64 field", entry.name));
  }
  void widen(std::string_view& field, std::uint64_t& number) const {
    if (number != zip::kNarrow) return;
    if (field.size() < 8) refuse("a zip64 field is cut");
    number = number_at(field, 0, 8);
    field.remove_prefix(8);
  }

  /// From where its own header lies to where its bytes lie.
  void place(ZipEntry& entry, std::uint64_t limit) const {
    const std::string header = bytes(entry.begin, zip::kLocalBytes);
    const std::size_t name = number_at(header, 26, 2), extra = number_at(header, 28, 2);
    const bool is_same = number_at(header, 0, 4) == zip::kLocal && name == entry.name.size() &&
                         bytes(entry.begin + zip::kLocalBytes, name) == entry.name;
    if (!is_same) refuse(fmt::format("{} is not where its directory says", entry.name));
    entry.begin += zip::kLocalBytes + name + extra;
    if (entry.begin > limit || entry.bytes > limit - entry.begin)
      refuse(fmt::format("{} reaches into its directory", entry.name));
  }

  void check_apart(std::vector<ZipEntry> entries) const {
    std::sort(entries.begin(), entries.end(),
              [](const ZipEntry& a, const ZipEntry& b) { return a.begin < b.begin; });
    for (std::size_t i = 1; i < entries.size(); ++i) {
      if (entries[i].begin - entries[i - 1].begin < entries[i - 1].bytes)
        refuse(fmt::format("{} and {} lie over each other", entries[i - 1].name, entries[i].name));
    }
  }

  const File& file_;
  std::uint64_t size_;
  std::set<std::string> names_;
};

}  // namespace

std::vector<ZipEntry> read_zip_directory(const File& file) {
  return Reader(file).entries();
}

}  // namespace caravan::io
