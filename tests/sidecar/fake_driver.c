/* The stand-in for libnvidia-ml.so.1, whole: fake_nvml.c and the version of the driver. */
#include "fake_nvml.c"

int nvmlSystemGetDriverVersion(char *version, unsigned length) {
  char own[TEXT];
  BEGIN("DriverVersion", NULL);
  if (!look_up("driver-version", NULL, own, sizeof own)) strcpy(own, "580.95.05");
  return copy(own, version, length);
}
