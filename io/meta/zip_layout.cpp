#include "io/meta/zip_layout.hpp"

#include <zlib.h>

#include <algorithm>
#include <utility>

#include "caravan/check.hpp"
#include "io/meta/little_endian.hpp"
#include "io/meta/zip_format.hpp"

namespace caravan::io {
namespace {

constexpr std::uint64_t kAlignment = 64, kVersion = 45, kFirstDay = 0x21;  // 1980-01-01
constexpr std::size_t kLocalField = 20, kCentralField = 28, kFieldHeader = 4;
constexpr std::uint64_t kPadding = 0x4246;  // the id that torch gives it

std::size_t before_padding(const ZipMember& member) {
  return zip::kLocalBytes + member.name.size() + kLocalField + kFieldHeader;
}

/// Both headers have these in the same order.
void append_common(std::string& text, const ZipMember& member, std::uint32_t crc, std::size_t extra) {
  append_number(text, kVersion, 2);
  append_number(text, 0, 2);  // flags
  append_number(text, 0, 2);  // stored
  append_number(text, 0, 2);  // time
  append_number(text, kFirstDay, 2);
  append_number(text, crc, 4);
  append_number(text, zip::kNarrow, 4);
  append_number(text, zip::kNarrow, 4);
  append_number(text, member.name.size(), 2);
  append_number(text, extra, 2);
}

void append_entry(std::string& text, const ZipMember& member, std::uint32_t crc) {
  append_number(text, zip::kCentral, 4);
  append_number(text, kVersion, 2);
  append_common(text, member, crc, kCentralField);
  append_number(text, 0, 2 + 2 + 2 + 4);  // comment, disk, attributes
  append_number(text, zip::kNarrow, 4);
  text += member.name;
  append_number(text, zip::kField64, 2);
  append_number(text, kCentralField - kFieldHeader, 2);
  for (std::uint64_t number : {member.bytes, member.bytes, member.header}) append_number(text, number, 8);
}

void append_end(std::string& text, const ZipLayout& layout) {
  const std::uint64_t end = layout.directory + text.size(), entries = layout.members.size();
  const std::uint64_t bytes = text.size();
  append_number(text, zip::kEnd64, 4);
  append_number(text, zip::kEnd64Bytes - 12, 8);
  append_number(text, kVersion, 2);
  append_number(text, kVersion, 2);
  append_number(text, 0, 4);
  append_number(text, 0, 4);  // disks
  for (std::uint64_t number : {entries, entries, bytes, layout.directory}) append_number(text, number, 8);
  append_number(text, zip::kLocator64, 4);
  append_number(text, 0, 4);
  append_number(text, end, 8);
  append_number(text, 1, 4);
  append_number(text, zip::kEnd, 4);
  append_number(text, 0, 4);
  append_number(text, 0xFFFF, 2);
  append_number(text, 0xFFFF, 2);
  append_number(text, zip::kNarrow, 4);
  append_number(text, zip::kNarrow, 4);
  append_number(text, 0, 2);  // comment
}

}  // namespace

ZipLayout lay_out_zip(std::vector<ZipMember> members) {
  ZipLayout layout{std::move(members), 0, 0};
  std::uint64_t at = 0, directory = zip::kEnd64Bytes + zip::kLocator64Bytes + zip::kEndBytes;
  for (ZipMember& member : layout.members) {
    member.header = at;
    member.begin = (at + before_padding(member) + kAlignment - 1) / kAlignment * kAlignment;
    at = member.begin + member.bytes;
    directory += zip::kCentralBytes + member.name.size() + kCentralField;
  }
  layout.directory = at;
  layout.bytes = at + directory;
  return layout;
}

std::uint32_t crc32_of(std::string_view bytes) {
  uLong crc = ::crc32(0, nullptr, 0);
  while (!bytes.empty()) {
    const std::string_view part = bytes.substr(0, std::size_t{1} << 30);
    crc = ::crc32(crc, reinterpret_cast<const Bytef*>(part.data()), static_cast<uInt>(part.size()));
    bytes.remove_prefix(part.size());
  }
  return static_cast<std::uint32_t>(crc);
}

std::uint32_t crc32_of_both(std::uint32_t first, std::uint32_t second, std::uint64_t bytes_of_second) {
  return static_cast<std::uint32_t>(::crc32_combine(first, second, static_cast<z_off_t>(bytes_of_second)));
}

std::string zip_header(const ZipMember& member, std::uint32_t crc) {
  const std::size_t padding = member.begin - member.header - before_padding(member);
  std::string text;
  append_number(text, zip::kLocal, 4);
  append_common(text, member, crc, kLocalField + kFieldHeader + padding);
  text += member.name;
  append_number(text, zip::kField64, 2);
  append_number(text, kLocalField - kFieldHeader, 2);
  append_number(text, member.bytes, 8);
  append_number(text, member.bytes, 8);
  append_number(text, kPadding, 2);
  append_number(text, padding, 2);
  return text + std::string(padding, 'Z');
}

std::string zip_directory(const ZipLayout& layout, std::span<const std::uint32_t> crcs) {
  CARAVAN_EXPECT(crcs.size() == layout.members.size());
  std::string text;
  for (std::size_t i = 0; i < crcs.size(); ++i) append_entry(text, layout.members[i], crcs[i]);
  append_end(text, layout);
  return text;
}

}  // namespace caravan::io
