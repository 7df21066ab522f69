#include "core/plugin/component_index.hpp"

#include <elf.h>
#include <fcntl.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <string_view>

namespace caravan {
namespace {

constexpr std::size_t kMostSections = 4096;
constexpr std::size_t kMostNameBytes = 1 << 20;
constexpr std::size_t kMostIndexBytes = 1 << 16;
constexpr std::string_view kSection = "caravan_index";

/// Read-only file whose reads fail, and never fault, beyond its end.
class File {
 public:
  explicit File(const std::string& path) : fd_(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {}
  ~File() {
    if (fd_ >= 0) ::close(fd_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  bool read(void* to, std::size_t bytes, std::uint64_t offset) const {
    if (fd_ < 0 || offset > static_cast<std::uint64_t>(INT64_MAX)) return false;
    return ::pread(fd_, to, bytes, static_cast<off_t>(offset)) == static_cast<ssize_t>(bytes);
  }

 private:
  int fd_;
};

std::optional<std::vector<Elf64_Shdr>> read_sections(const File& file, const Elf64_Ehdr& header) {
  const bool readable = std::memcmp(header.e_ident, ELFMAG, SELFMAG) == 0 &&
                        header.e_ident[EI_CLASS] == ELFCLASS64 && header.e_shentsize == sizeof(Elf64_Shdr) &&
                        header.e_shnum <= kMostSections && header.e_shstrndx < header.e_shnum;
  if (!readable) return std::nullopt;
  std::vector<Elf64_Shdr> sections(header.e_shnum);
  if (!file.read(sections.data(), sections.size() * sizeof(Elf64_Shdr), header.e_shoff)) return std::nullopt;
  return sections;
}

std::optional<std::string> read_bytes(const File& file, const Elf64_Shdr& section, std::size_t most) {
  if (section.sh_type == SHT_NOBITS || section.sh_size > most) return std::nullopt;
  std::string bytes(section.sh_size, '\0');
  if (!file.read(bytes.data(), bytes.size(), section.sh_offset)) return std::nullopt;
  return bytes;
}

std::optional<std::string> read_named_section(const File& file) {
  Elf64_Ehdr header;
  if (!file.read(&header, sizeof header, 0)) return std::nullopt;
  const auto sections = read_sections(file, header);
  if (!sections) return std::nullopt;
  const auto names = read_bytes(file, (*sections)[header.e_shstrndx], kMostNameBytes);
  if (!names) return std::nullopt;
  for (const Elf64_Shdr& section : *sections) {
    if (section.sh_name >= names->size()) continue;
    if (std::string_view(names->c_str() + section.sh_name) == kSection)
      return read_bytes(file, section, kMostIndexBytes);
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::vector<std::string>> read_component_index(const std::string& path) {
  const auto text = read_named_section(File(path));
  if (!text) return std::nullopt;
  std::vector<std::string> entries;
  for (std::size_t begin = 0; begin < text->size();) {
    const std::size_t end = std::min(text->find('\n', begin), text->size());
    entries.push_back(text->substr(begin, end - begin));
    begin = end + 1;
  }
  return entries;
}

}  // namespace caravan
