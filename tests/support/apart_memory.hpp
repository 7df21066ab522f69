#pragma once

#include <cstddef>
#include <map>

namespace caravan::testing {

/// Memory that nobody may touch but in the scope of an Access: its pages are closed, so that host code that
/// takes a device's pointer for its own dies at once. Starts as NaN.
class ApartMemory {
 public:
  ApartMemory();
  ~ApartMemory();
  ApartMemory(const ApartMemory&) = delete;
  ApartMemory& operator=(const ApartMemory&) = delete;

  void* allocate(std::size_t bytes);  ///< null when the address space that was set aside is used up
  void release(void* data) noexcept;
  /// All of it was allocated and not yet released.
  bool owns(const void* data, std::size_t bytes) const noexcept;

  class Access {
   public:
    explicit Access(ApartMemory& memory);
    ~Access();
    Access(const Access&) = delete;
    Access& operator=(const Access&) = delete;

   private:
    ApartMemory& memory_;
  };

 private:
  void protect(int protection) const;

  std::byte* base_;
  std::size_t used_ = 0;
  std::map<const std::byte*, std::size_t> blocks_;  ///< bytes of each
};

}  // namespace caravan::testing
