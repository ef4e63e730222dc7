// The wire enums are the domain's own vocabulary: one word per concept, nothing to map.
global using Algorithm = OtpAuthService.V1.Algorithm;
global using AuditContractorIds = OtpAuthService.V1.AuditContractorIds;
global using AuditFindingKind = OtpAuthService.V1.AuditFindingKind;
global using Channel = OtpAuthService.V1.Channel;
global using Decision = OtpAuthService.V1.Decision;
global using EventKind = OtpAuthService.V1.EventKind;
global using ForeignLossReports = OtpAuthService.V1.ForeignLossReports;
global using ExportScope = OtpAuthService.V1.ExportScope;
global using LossKind = OtpAuthService.V1.LossKind;
global using Outcome = OtpAuthService.V1.Outcome;
global using OutcomeDetail = OtpAuthService.V1.OutcomeDetail;
global using Purpose = OtpAuthService.V1.Purpose;
global using Requirement = OtpAuthService.V1.Requirement;
